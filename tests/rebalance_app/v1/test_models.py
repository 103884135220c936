"""API v1's models: the drop-in contract, sections 1.1 and 2, with its decisions."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from models_app.models import InvestmentModel, ModelVersion

A, B, C = ("0000000000000000000000A1", "0000000000000000000000A2", "0000000000000000000000A3")
P, Q = "68a0c0ffee0000000000beef", "68a0c0ffee0000000000bee0"


def position(security_id=A, target=0.3, low_drift=0.05, high_drift=0.05):
    return {"security_id": security_id, "target": target, "low_drift": low_drift, "high_drift": high_drift}


def model(name="Balanced", positions=None, portfolios=(P,), **more):
    return {"name": name, "positions": positions or [position()], "portfolios": list(portfolios), **more}


@pytest.fixture
def saved(api):
    return api.post("/models", model()).json()


def locations(response):
    assert response.status_code == 422, response.content
    return [entry["loc"] for entry in response.json()["detail"]]


# Create


def test_a_created_model_comes_back_at_version_one_in_snake_case(api):
    response = api.post("/models", model(" Balanced "))
    assert response.status_code == 201
    body = response.json()
    assert len(body.pop("model_id")) == 24
    assert body == {
        "name": "Balanced",
        "positions": [{"security_id": A, "target": "0.3", "low_drift": "0.05", "high_drift": "0.05"}],
        "portfolios": [P],
        "last_rebalance_date": None,
        "version": 1,
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [("0.3", "0.3"), ('"0.150"', "0.150"), ("1e-2", "0.01"), ("0.5", "0.5"), ('" 0.95 "', "0.95"), ("0.20", "0.20")],
)
def test_a_decimal_keeps_its_digits_on_the_way_in_and_out(api, written, read):
    line = f'{{"security_id":"{A}","target":{written},"low_drift":0,"high_drift":"0"}}'
    raw = f'{{"name":"M","portfolios":["{P}"],"positions":[{line}]}}'
    created = api.post("/models", raw=raw)
    assert created.status_code == 201, created.content
    again = api.get(f"/model/{created.json()['model_id']}").json()
    assert again["positions"] == [{"security_id": A, "target": read, "low_drift": "0", "high_drift": "0"}]


def test_unknown_fields_are_ignored(api):
    assert api.post("/models", model(owner="me", approved=True)).status_code == 201


def test_zero_targets_are_dropped_on_save_but_count_as_duplicates_first(api):
    body = api.post("/models", model(positions=[position(A), position(B, 0)])).json()
    assert [line["security_id"] for line in body["positions"]] == [A]
    assert locations(api.post("/models", model("Other", [position(A), position(A, 0)]))) == [
        ["body", "positions", 1, "security_id"]
    ]


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"name": " "}, ["body", "name"]),
        ({"name": "x" * 256}, ["body", "name"]),
        ({"positions": [position(target=0.123)]}, ["body", "positions", 0, "target"]),
        ({"positions": [position(target=0.955)]}, ["body", "positions", 0, "target"]),
        ({"positions": [position(target=-0.005)]}, ["body", "positions", 0, "target"]),
        ({"positions": [position(low_drift=0.06)]}, ["body", "positions", 0, "low_drift"]),
        ({"positions": [position(high_drift=1.5)]}, ["body", "positions", 0, "high_drift"]),
        ({"positions": [position("short")]}, ["body", "positions", 0, "security_id"]),
        ({"positions": [position(A, 0.5), position(B, 0.455)]}, ["body", "positions"]),
        ({"positions": [position(f"{n:024d}", 0.005) for n in range(101)]}, ["body", "positions"]),
        ({"portfolios": []}, ["body", "portfolios"]),
        ({"portfolios": [P, P]}, ["body", "portfolios"]),
        ({"portfolios": ["not-hex"]}, ["body", "portfolios"]),
    ],
)
def test_a_rule_that_is_broken_is_named_at_its_place_and_nothing_is_saved(api, change, loc):
    response = api.post("/models", model() | change)
    assert loc in locations(response)
    for entry in response.json()["detail"]:
        assert {"type", "loc", "msg", "input"} <= entry.keys()
    assert not InvestmentModel.objects.exists()


@pytest.mark.parametrize("value", [True, "abc", "1_000", None, [], "", {}, "١"])
def test_what_is_no_number_is_refused_where_a_number_belongs(api, value):
    assert ["body", "positions", 0, "target"] in locations(
        api.post("/models", model(positions=[position(target=value)]))
    )


@pytest.mark.parametrize("text", ["0．05", "٠.5", "0.५"])
def test_a_number_is_written_in_ascii_digits(api, text):
    assert locations(api.post("/models", model(positions=[position(target=text)])))


@pytest.mark.parametrize("text", ["1e30", "1e400", "1e1000000", "-1e400", "9" * 5000, "0." + "1" * 5000])
def test_a_number_beyond_reason_is_refused_and_never_an_error_of_ours(api, text):
    raw = '{"name":"M","portfolios":["%s"],"positions":[{"security_id":"%s","target":%s,"low_drift":0,"high_drift":0}]}'
    assert locations(api.post("/models", raw=raw % (P, A, text)))


def test_a_missing_field_is_named(api):
    response = api.post("/models", {"positions": []})
    assert locations(response) == [["body", "name"], ["body", "portfolios"]]
    assert {entry["type"] for entry in response.json()["detail"]} == {"missing"}


def test_a_name_that_is_taken_is_a_conflict(api, saved):
    response = api.post("/models", model())
    assert (response.status_code, list(response.json())) == (409, ["detail"])
    assert api.post("/models", model("balanced")).status_code == 201, "names are case-sensitive"


# Read


@pytest.mark.parametrize("given", ["short", "g" * 24, "a" * 25, "%00", "a" * 5000, "' OR 1=1 --"])
def test_an_id_that_is_none_is_a_bad_request(api, given):
    response = api.get(f"/model/{given}")
    assert response.status_code == 400, response.content
    assert isinstance(response.json()["detail"], str)


def test_a_model_that_is_not_there_is_said_in_the_contracts_words(api):
    response = api.get(f"/model/{P}")
    assert (response.status_code, response.json()) == (404, {"detail": f"Model {P} not found"})


@pytest.fixture
def three(api):
    """Models c, a, b, created in this order."""
    return [api.post("/models", model(name)).json()["model_id"] for name in "cab"]


def names(response):
    assert response.status_code == 200, response.content
    return "".join(line["name"] for line in response.json())


def test_models_are_listed_newest_first_as_a_bare_array(api, three):
    assert names(api.get("/models")) == "bac"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=2", "ba"),
        ("offset=1", "ac"),
        ("offset=1&limit=1", "a"),
        ("limit=0", ""),
        ("offset=3", ""),
        ("offset=99&limit=10", ""),
        ("offset=99999999999999999999&limit=99999999999999999999", ""),
        ("sort_by=name", "abc"),
        ("sort_by=-name", "cba"),
        ("sort_by=%2Bname", "abc"),
        ("sort_by=+name", "abc"),
        ("sort_by=", "bac"),
        ("sort_by=last_rebalance_date,-name", "cba"),
        ("sort_by=model_id", "cab"),
        ("sort_by= name , model_id", "abc"),
        ("unknown=1", "bac"),
    ],
)
def test_paging_and_sorting(api, three, query, expected):
    assert names(api.get(f"/models?{query}")) == expected


def test_a_model_never_rebalanced_sorts_first_ascending(api, three):
    InvestmentModel.objects.filter(pk=three[1]).update(last_rebalance_at="2026-11-23T03:00:05Z")
    assert names(api.get("/models?sort_by=last_rebalance_date,name")) == "bca"
    assert names(api.get("/models?sort_by=-last_rebalance_date,name")) == "abc"


@pytest.mark.parametrize(
    "query", ["offset=-1", "limit=-1", "sort_by=version", "sort_by=--name", "sort_by=Name", "sort_by=%2B"]
)
def test_paging_that_cannot_be_meant_is_a_bad_request(api, query):
    response = api.get(f"/models?{query}")
    assert response.status_code == 400
    assert isinstance(response.json()["detail"], str)


def test_a_bad_sort_field_is_told_the_valid_ones(api):
    assert "model_id, name, last_rebalance_date" in api.get("/models?sort_by=x").json()["detail"]


def test_a_parameter_that_is_no_integer_is_a_schema_error(api):
    response = api.get("/models?offset=abc")
    assert locations(response) == [["query", "offset"]]
    assert response.json()["detail"][0]["input"] == "abc"


# Replace and delete


def test_replacing_a_model_raises_its_version_and_empties_what_is_left_out(api, saved):
    path = f"/model/{saved['model_id']}"
    response = api.put(path, {"name": "New", "portfolios": [Q], "version": 1})
    assert response.status_code == 200
    assert response.json() == saved | {"name": "New", "portfolios": [Q], "positions": [], "version": 2}
    assert api.get(path).json() == response.json()


@pytest.mark.parametrize(
    "given", ["2026-11-23T03:00:05.223Z", "2026-11-23T04:00:05.223+01:00", "2026-11-23T03:00:05.223000"]
)
def test_dates_are_taken_with_or_without_zone_and_come_back_in_utc(api, saved, given):
    body = model(version=1, last_rebalance_date=given)
    assert api.put(f"/model/{saved['model_id']}", body).json()["last_rebalance_date"] == "2026-11-23T03:00:05.223Z"
    cleared = api.put(f"/model/{saved['model_id']}", model(version=2)).json()
    assert cleared["last_rebalance_date"] is None


def test_a_stale_version_is_a_conflict_and_changes_nothing(api, saved):
    path = f"/model/{saved['model_id']}"
    assert api.put(path, model("One", version=1)).status_code == 200
    response = api.put(path, model("Two", version=1))
    assert (response.status_code, list(response.json())) == (409, ["detail"])
    assert api.get(path).json()["name"] == "One"


@pytest.mark.parametrize(
    "given", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday", True, "2026-02-30T00:00:00Z"]
)
def test_a_date_that_is_none_is_refused_once_at_its_place(api, saved, given):
    body = model(version=1, last_rebalance_date=given)
    assert locations(api.put(f"/model/{saved['model_id']}", body)) == [["body", "last_rebalance_date"]]


@pytest.mark.parametrize("version", [None, 0, -1, True, "one", 1.5, 2**40])
def test_a_version_is_a_positive_integer(api, saved, version):
    assert locations(api.put(f"/model/{saved['model_id']}", model(version=version))) == [["body", "version"]]


def test_replacing_needs_an_id_and_a_model(api):
    assert api.put("/model/nothex", model(version=1)).status_code == 400
    assert api.put(f"/model/{P}", model(version=1)).status_code == 404


def test_a_name_of_another_model_is_a_conflict(api, three):
    assert api.put(f"/model/{three[0]}", model("a", version=1)).status_code == 409


def test_deleting_a_model_needs_its_version_and_leaves_its_history(api, saved):
    path = f"/model/{saved['model_id']}"
    assert locations(api.delete(path)) == [["query", "version"]]
    assert api.delete(f"{path}?version=2").status_code == 409
    response = api.delete(f"{path}?version=1")
    assert (response.status_code, response.content) == (204, b"")
    assert api.get(path).status_code == 404
    assert api.delete(f"{path}?version=1").status_code == 404
    assert ModelVersion.objects.filter(model_id=saved["model_id"]).exists()


# Positions and portfolios of a model


def test_a_position_is_added_changed_and_removed(api, saved):
    path = f"/model/{saved['model_id']}/position"
    added = api.post(path, position(B, "0.10")).json()
    assert ([line["security_id"] for line in added["positions"]], added["version"]) == ([A, B], 2)
    changed = api.put(path, position(B, 0.2, 0.01, 0.02)).json()
    assert changed["positions"][1] == {"security_id": B, "target": "0.2", "low_drift": "0.01", "high_drift": "0.02"}
    removed = api.delete(path, position(B, "0.200", "0.0100", 0.02))
    assert removed.status_code == 200, "0.2 equals 0.200"
    assert ([line["security_id"] for line in removed.json()["positions"]], removed.json()["version"]) == ([A], 4)


def test_a_position_is_removed_only_when_every_value_equals(api, saved):
    path = f"/model/{saved['model_id']}"
    response = api.delete(f"{path}/position", position(low_drift=0.04))
    assert response.status_code in {400, 422}
    assert api.get(path).json() == saved


def test_a_zero_target_is_accepted_and_not_stored_or_removes(api, saved):
    path = f"/model/{saved['model_id']}/position"
    added = api.post(path, position(B, 0))
    assert (added.status_code, added.json()) == (200, saved), "nothing changed, so no new version"
    assert api.put(path, position(A, 0)).json()["positions"] == []


def test_a_security_already_there_is_refused_at_its_field(api, saved):
    assert locations(api.post(f"/model/{saved['model_id']}/position", position())) == [["body", "security_id"]]


def test_a_security_that_is_not_there_is_a_bad_request(api, saved):
    path = f"/model/{saved['model_id']}/position"
    for response in (api.put(path, position(C)), api.delete(path, position(C))):
        assert response.status_code == 400
        assert isinstance(response.json()["detail"], str)


def test_the_sum_of_targets_is_kept_when_adding(api, saved):
    response = api.post(f"/model/{saved['model_id']}/position", position(B, 0.655))
    assert locations(response) == [["body", "positions"]]
    assert api.get(f"/model/{saved['model_id']}").json() == saved


def test_a_broken_rule_of_one_position_is_named_without_its_row(api, saved):
    assert locations(api.post(f"/model/{saved['model_id']}/position", position(B, 0.123))) == [["body", "target"]]


def test_portfolios_are_added_and_removed_and_repetition_is_silent(api, saved):
    path = f"/model/{saved['model_id']}/portfolio"
    assert api.post(path, {"portfolios": [P, Q]}).json() == saved | {"portfolios": [P, Q], "version": 2}
    again = api.post(path, {"portfolios": [Q]})
    assert (again.status_code, again.json()["version"]) == (200, 2)
    assert api.delete(path, {"portfolios": [Q]}).json() == saved | {"version": 3}
    absent = api.delete(path, {"portfolios": [Q]})
    assert (absent.status_code, absent.json()["version"]) == (200, 3)


def test_a_portfolio_has_one_spelling_so_that_it_cannot_follow_a_model_twice(api, saved):
    path = f"/model/{saved['model_id']}/portfolio"
    assert api.post(path, {"portfolios": [P.upper()]}).json() == saved
    assert locations(api.post("/models", model("Twice", portfolios=[P, P.upper()])))
    assert api.post("/models", model("Loud", portfolios=[Q.upper()])).json()["portfolios"] == [Q]
    assert api.delete(path, {"portfolios": [P.upper()]}).status_code == 400, "it is the last one"


def test_the_last_portfolio_stays(api, saved):
    response = api.delete(f"/model/{saved['model_id']}/portfolio", {"portfolios": [P, Q]})
    assert response.status_code == 400
    assert isinstance(response.json()["detail"], str)


@pytest.mark.parametrize("portfolios", [[], [Q, Q], ["x"], "no list", [1]])
def test_a_list_of_portfolios_that_cannot_be_meant_is_a_schema_error(api, saved, portfolios):
    assert locations(api.post(f"/model/{saved['model_id']}/portfolio", {"portfolios": portfolios}))


@pytest.mark.parametrize("route", ["position", "portfolio"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_parts_of_no_model_are_not_found(api, route, method):
    body = position() if route == "position" else {"portfolios": [P]}
    assert api.request(method, f"/model/{P}/{route}", body).status_code == 404
    assert api.request(method, f"/model/zzz/{route}", body).status_code == 400


def test_the_saved_numbers_are_exact(api, saved):
    assert InvestmentModel.objects.get().positions.get().target == Decimal("0.3")


@pytest.mark.parametrize("sent", [None, "2026-11-22T03:00:05Z"])
def test_who_read_a_model_before_its_rebalance_does_not_wipe_the_date(api, saved, sent):
    at = datetime(2026, 11, 23, 3, 0, 5, 223456, UTC)
    InvestmentModel.objects.update(last_rebalance_at=at)
    path = f"/model/{saved['model_id']}"
    answer = api.put(path, model(version=1, last_rebalance_date=sent))

    assert answer.status_code == 409
    assert "read it again" in answer.json()["detail"]
    kept = api.get(path).json()
    assert (kept["version"], kept["last_rebalance_date"]) == (1, "2026-11-23T03:00:05.223Z")
    assert api.put(path, kept).status_code == 200, "what was read is taken back, to the millisecond"
