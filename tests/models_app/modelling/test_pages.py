"""Every page by the door a person uses: what it shows, to whom, and what it answers to bad input."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from models_app.investment_models import selectors
from models_app.modelling import services
from models_app.models import InvestmentModel, ModelVersion, Price, Security
from ordergen.audit.models import AuditEvent
from tests.builders import draft, portfolio, position, security, together

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def book(manager):
    with together():
        made = {"a": security("AAA", name=f"Alpha {EVIL}"), "b": security("BBB"), "x": security("XXX", price=None)}
        made["over"] = portfolio(f"Over {EVIL}", "8500", AAA="100", BBB="50")
        made["calm"] = portfolio("Calm", "9000", AAA="50", BBB="50")
        made["blind"] = portfolio("Blind", "9000", AAA="50", XXX="7")
        made["free"] = portfolio("Free", "100", AAA="10")
        made["new"] = portfolio("New")
    followers = tuple(made[name].id for name in ("over", "calm", "blind", "new"))
    first = draft(position(made["a"].id), position(made["b"].id), name=f"Growth {EVIL}", portfolios=followers)
    made["model"] = services.model_create(draft=first, by=manager, reason="Start")
    return made


@pytest.fixture
def maya(client, manager):
    client.force_login(manager)
    return client


def text_of(response):
    """The page without markup, one space between words."""
    body = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("\N{NO-BREAK SPACE}", " ")


def typed(book, *rows, **fields):
    """What the editor posts; each row is "AAA 5 1 2", a dash is an empty cell."""
    cells = [["" if cell == "-" else cell for cell in row.split(" ")] for row in rows]
    names = ("security", "target", "low", "high")
    grid = {name: [row[place] for row in cells] for place, name in enumerate(names)}
    start = {"name": "Growth", "reason": "Because", "version": 1, "portfolio": [book["calm"].id], "do": "save"}
    return start | grid | fields


def edit_url(book):
    return reverse("model_edit", args=[book["model"].pk])


def every_page(book):
    model, fund = [book["model"].pk], [book["over"].id]
    return [
        reverse("dashboard"), reverse("models"), reverse("model", args=model), reverse("model_history", args=model),
        reverse("model_diff", args=model), reverse("portfolios"), reverse("portfolio", args=fund),
        reverse("portfolio_history", args=fund),
    ]  # fmt: skip


def editing_pages(book):
    model = [book["model"].pk]
    return [reverse("model_new"), reverse("model_edit", args=model), reverse("model_delete", args=model)]


@pytest.mark.parametrize("role", ["viewer", "manager", "approver", "auditor", "admin"])
def test_every_role_reads_every_page(book, client, person, role):
    client.force_login(person(role, name="reader"))
    assert [client.get(url).status_code for url in every_page(book)] == [200] * 8


def test_nobody_reads_anything_without_signing_in(book, client):
    for url in every_page(book) + editing_pages(book):
        response = client.get(url)
        assert response.status_code == 302
        assert response.url.startswith("/signin/")


@pytest.mark.parametrize("role", ["viewer", "approver", "auditor", "admin"])
def test_only_a_portfolio_manager_reaches_the_editor(book, client, person, role):
    client.force_login(person(role, name="other"))
    for url in editing_pages(book):
        assert client.get(url).status_code == 403
        assert client.post(url, typed(book, "AAA 5 1 2")).status_code == 403
    for name in ("model_check", "model_portfolio_search"):
        assert client.post(reverse(name), typed(book, "AAA 5 1 2")).status_code == 403
    assert client.post(reverse("model_merge", args=[book["model"].pk]), {}).status_code == 403
    assert "Edit" not in text_of(client.get(reverse("model", args=[book["model"].pk])))
    assert InvestmentModel.objects.get().version == 1


def test_a_person_without_a_role_reads_nothing(book, client, person):
    client.force_login(person(name="nobody"))
    assert [client.get(url).status_code for url in every_page(book)] == [403] * 8


@pytest.mark.parametrize("key", ["f" * 24, "nonsense", "%3Cscript%3E", "a" * 300, "'--"])
def test_an_unknown_id_is_a_page_that_says_so(book, maya, key):
    urls = [f"/models/{key}/{page}" for page in ("", "edit/", "history/", "diff/", "delete/")]
    for url in [*urls, f"/portfolios/{key}/", f"/portfolios/{key}/history/"]:
        response = maya.get(url)
        assert response.status_code == 404
        assert b"<script>alert" not in response.content
        assert b"<main" in response.content


def test_names_with_script_tags_are_shown_as_text_everywhere(book, maya):
    for url in [*every_page(book), *editing_pages(book)]:
        body = maya.get(url).content.decode()
        assert EVIL not in body
        assert "alert(1)" in body or url in {reverse("model_new"), reverse("model_diff", args=[book["model"].pk])}


def test_the_dashboard_counts_what_needs_attention_and_ranks_the_queue(book, maya):
    text = text_of(maya.get("/"))
    assert "2 of 5 checked at prices of 20 Nov 2026" in text
    assert re.search(r"Breach 1 outside a band", text)
    assert re.search(r"Unpriced 1 a price is missing", text)
    assert "No value 1 no weight can be told" in text
    assert text.index("Over &lt;script") < text.index("250 %")
    assert 'href="/portfolios/?state=breach"' in maya.get("/").content.decode()


def test_an_empty_book_says_what_to_do_next(maya):
    assert "The book is empty." in text_of(maya.get("/"))
    assert "There are no models yet." in text_of(maya.get("/models/"))
    assert "The book has no portfolios yet." in text_of(maya.get("/portfolios/"))


def test_portfolios_are_filtered_by_name_model_and_state_from_the_address(book, maya):
    def shown(query):
        return [row.portfolio_name for row in maya.get(f"/portfolios/?{query}").context["table"].rows]

    assert shown("q=cal") == ["Calm"]
    assert shown("state=unpriced") == ["Blind"]
    assert shown("state=no_model") == ["Free"]
    assert len(shown(f"model={book['model'].pk}")) == 4
    assert shown("model=nonsense") == []
    assert len(shown("state=nonsense")) == 5
    assert shown("sort=name")[0] == "Blind"
    assert "No portfolio matches." in text_of(maya.get("/portfolios/?q=zzz"))


@pytest.mark.parametrize("url", ["/models/", "/portfolios/"])
def test_every_column_sorts_both_ways(book, maya, url):
    headings = maya.get(url).context["table"].headings
    for heading in headings:
        if heading.href:
            first = maya.get(url + heading.href)
            again = [h.href for h in first.context["table"].headings if h.label == heading.label]
            assert maya.get(url + again[0]).status_code == first.status_code == 200
            assert 'aria-sort="' in first.content.decode()
    assert sum(bool(heading.href) for heading in headings) >= 9


def test_a_portfolio_shows_its_drift_as_a_chart_and_as_a_table(book, maya):
    response = maya.get(reverse("portfolio", args=[book["over"].id]))
    text = text_of(response)
    assert "Market value 10,000.00" in text
    assert "+5.00" in text
    assert "250 %" in text
    assert "1 of 2 positions is outside its band; worst AAA +5.00 pp, 250 % of its band." in text
    assert "sell 50" in text
    assert "Estimated cost 0.25" in text  # 0.05 % of the 500 to sell
    assert 'data-figure="' in response.content.decode()


def test_a_portfolio_without_a_price_shows_dashes_and_says_why(book, maya):
    response = maya.get(reverse("portfolio", args=[book["blind"].id]))
    text = text_of(response)
    assert "The market value is not known." in text
    assert "XXX (7 held)" in text
    assert "Market value –" in text
    assert "0.00 %" not in text
    assert 'data-figure="' not in response.content.decode()


def test_a_new_portfolio_and_one_without_a_model_say_what_they_are(book, maya):
    assert "No value" in text_of(maya.get(reverse("portfolio", args=[book["new"].id])))
    assert "follows no model" in text_of(maya.get(reverse("portfolio", args=[book["free"].id])))


def test_drift_over_time_draws_the_path_and_lists_the_same_days(book, maya):
    Price.objects.create(security=book["a"], date="2026-11-13", close=Decimal("12.5"))
    Price.objects.create(security=book["b"], date="2026-11-13", close=Decimal(10))
    response = maya.get(reverse("portfolio_history", args=[book["over"].id]))
    assert response.content.decode().count("data-figure") == 2
    assert [row.day.isoformat() for row in response.context["table"].rows] == ["2026-11-20", "2026-11-13"]
    assert "Between 10.00 % and 12.20 %; outside its band on 2 of 2 days." in text_of(response)
    one = maya.get(reverse("portfolio_history", args=[book["over"].id]), {"security": book["b"].id, "range": "all"})
    assert one.content.decode().count("data-figure") == 1


def test_drift_over_time_without_any_price_says_so(book, maya):
    Price.objects.all().delete()
    assert "no price history" in text_of(maya.get(reverse("portfolio_history", args=[book["calm"].id])))


def test_a_model_shows_its_positions_bands_and_portfolios(book, maya):
    text = text_of(maya.get(reverse("model", args=[book["model"].pk])))
    assert "Σ target 10.00 %" in text
    assert "4.00 – 7.00" in text
    assert "4 that follow this model" in text


def test_a_model_is_found_by_name_and_by_the_ticker_it_holds(book, maya):
    def names(text):
        return [row.model.name for row in maya.get("/models/", {"q": text}).context["table"].rows]

    assert len(names("growth")) == len(names("aaa")) == 1
    assert names("xxx") == names("nonsense") == []


def test_a_model_is_made_in_the_editor(book, maya, manager):
    response = maya.post(reverse("model_new"), typed(book, "AAA 7.5 1 2", "- - - -", "BBB 2 0.5 0.5", name="Income"))
    made = InvestmentModel.objects.get(name="Income")
    assert response.url == reverse("model", args=[made.pk])
    rows = [(p.target, p.low_drift, p.high_drift) for p in selectors.model_draft(made).positions]
    assert rows == [(Decimal("0.075"), Decimal("0.01"), Decimal("0.02")), (Decimal("0.02"), *[Decimal("0.005")] * 2)]
    assert ModelVersion.objects.get(model_id=made.pk).saved_by == manager


def test_faults_come_back_as_422_at_their_fields_with_everything_typed(book, maya):
    sent = typed(book, "AAA 12.3 1 2", "ZZZ - x 2", name="", reason="", portfolio=[])
    response = maya.post(edit_url(book), sent)
    body, text = response.content.decode(), text_of(response)
    assert response.status_code == 422
    assert "<title>Error: " in body
    assert "Targets go in steps of 0.5 %" in text
    assert "The book has no security ZZZ." in text
    assert 'href="#target-0"' in body
    assert 'id="target-0" name="target" value="12.3"' in body
    assert re.search(r'id="low-1"[^>]*value="x"[^>]*aria-invalid="true"', body)
    assert selectors.model_get(book["model"].pk).version == 1


@pytest.mark.parametrize("rows", [
    ["AAA 95.5 1 2"], ["AAA 90 1 2", "BBB 5.5 1 2"], ["AAA 5 1 2", "AAA 5 1 2"], ["AAA NaN 1 2"], ["AAA 1e30 1 2"],
    ["AAA Infinity 1 2"], ["AAA 5 3 2"], ["AAA 5 1 101"], ["AAA -5 1 2"], ["AAA 5 1 9e999999"],
])  # fmt: skip
def test_what_breaks_a_rule_is_refused_and_changes_nothing(book, maya, rows):
    assert maya.post(edit_url(book), typed(book, *rows)).status_code == 422
    assert maya.post(reverse("model_check"), typed(book, *rows)).status_code == 200
    assert selectors.model_get(book["model"].pk).version == 1


def test_a_taken_name_is_said_at_the_name(book, maya):
    response = maya.post(reverse("model_new"), typed(book, "AAA 5 1 2", name=book["model"].name))
    assert response.status_code == 422
    assert "This name is taken by another model." in text_of(response)


def test_the_grid_grows_shrinks_and_takes_pasted_rows_without_script(book, maya):
    def rows(response):
        assert response.status_code == 200
        return [row.security for row in response.context["editor"].rows]

    assert rows(maya.post(edit_url(book), typed(book, "AAA 5 1 2", do="add"))) == ["AAA", ""]
    assert rows(maya.post(edit_url(book), typed(book, "AAA 5 1 2", "BBB 5 1 2", do="remove 0"))) == ["BBB"]
    assert rows(maya.post(edit_url(book), typed(book, "AAA 5 1 2", do="remove zzz"))) == ["AAA"]
    assert rows(maya.post(edit_url(book), typed(book, "AAA 5 1 2", do="paste", paste="BBB\t5\t1\t2"))) == ["AAA", "BBB"]
    found = maya.post(edit_url(book), typed(book, "AAA 5 1 2", do="find", q="over"))
    assert [choice.id for choice in found.context["editor"].found] == [book["over"].id]
    assert selectors.model_get(book["model"].pk).version == 1


def test_while_typing_the_sums_and_the_rows_answer(book, maya):
    response = maya.post(reverse("model_check"), typed(book, "AAA 90 1 2", "BBB 5.5 1 2", model_id=book["model"].pk))
    text = text_of(response)
    assert "Σ target 95.50 % — above the 95 % allowed" in text
    assert "cash 4.50 %" in text
    assert "2/100" in text
    assert "+85.00 pp" in text
    assert 'id="note-1" hx-swap-oob="true"' in response.content.decode()


def test_securities_are_suggested_by_the_server(book, maya):
    body = maya.get(reverse("security_suggestions"), {"security": "bb"}).content.decode()
    assert '<option value="BBB">BBB Corporation</option>' in body
    assert "AAA" not in body
    assert EVIL not in maya.get(reverse("security_suggestions"), {"security": "aa"}).content.decode()


def test_portfolios_ticked_stay_ticked_while_searching(book, maya):
    body = maya.post(reverse("model_portfolio_search"), typed(book, q="free")).content.decode()
    assert f'value="{book["calm"].id}" checked' in body
    assert f'value="{book["free"].id}">' in body


def test_a_stale_version_shows_both_changes_side_by_side_and_loses_nothing(book, maya, person):
    ana = person("manager", name="ana")
    theirs = draft(position(book["a"].id, "0.10"), position(book["b"].id), portfolios=(book["calm"].id,))
    services.model_update(model_id=book["model"].pk, version=1, draft=theirs, by=ana, reason="More A")
    response = maya.post(edit_url(book), typed(book, "AAA 15 1 2", "BBB 5 1 2", "XXX 3 1 1"))
    text = text_of(response)
    assert response.status_code == 409
    assert "it is now at version 2, saved by ana" in text
    assert "“More A”" in text
    assert [row.security_id for row, _ in response.context["changed"] if row.is_conflict] == [book["a"].id]
    assert 'name="target" value="15"' in response.content.decode()
    assert selectors.model_get(book["model"].pk).version == 2


def merging(book, **fields):
    sent = typed(book, "AAA 15 1 2", "BBB 5 1 2", "XXX 3 1 1", name=book["model"].name)
    return sent | {"version": 1, "theirs": 2, "reason": "Both"} | fields


@pytest.fixture
def moved_on(book, person):
    followers = selectors.model_draft(book["model"]).portfolios
    theirs = draft(
        position(book["a"].id, "0.10"), position(book["b"].id), name=book["model"].name, portfolios=followers
    )
    services.model_update(model_id=book["model"].pk, version=1, draft=theirs, by=person("manager", name="ana"))
    return reverse("model_merge", args=[book["model"].pk])


def test_a_merge_needs_every_choice_and_then_saves_both_sides(book, maya, moved_on):
    undecided = maya.post(moved_on, merging(book))
    assert undecided.status_code == 422
    assert "Choose a side" in text_of(undecided)
    assert maya.post(moved_on, merging(book, **{f"take-{book['a'].id}": "mine"})).status_code == 302
    saved = selectors.model_draft(selectors.model_get(book["model"].pk))
    assert [p.target for p in saved.positions] == [Decimal("0.15"), Decimal("0.05"), Decimal("0.03")]
    assert saved.portfolios == (book["calm"].id,)
    assert selectors.model_get(book["model"].pk).version == 3


def test_a_merge_against_a_version_that_moved_again_starts_over(book, maya, moved_on):
    response = maya.post(moved_on, merging(book, theirs=1, **{f"take-{book['a'].id}": "mine"}))
    assert response.status_code == 409
    assert "Somebody saved again" in text_of(response)
    assert selectors.model_get(book["model"].pk).version == 2


def test_a_merge_that_breaks_a_rule_goes_on_in_the_editor(book, maya, moved_on):
    sent = merging(book, **{f"take-{book['a'].id}": "mine"}) | {"target": ["90", "5", "3"]}
    response = maya.post(moved_on, sent)
    assert response.status_code == 422
    assert "Targets add up to 98 %" in text_of(response)
    assert response.context["editor"].version == 2


def test_history_says_who_when_why_and_what(book, maya, manager):
    after = draft(position(book["a"].id, "0.10"), portfolios=(book["calm"].id,), name="Renamed")
    services.model_update(model_id=book["model"].pk, version=1, draft=after, by=manager, reason="Simpler")
    text = text_of(maya.get(reverse("model_history", args=[book["model"].pk])))
    assert "Simpler" in text
    assert "renamed, 1 security changed, 1 security removed, 3 portfolios removed" in text
    diff = text_of(maya.get(reverse("model_diff", args=[book["model"].pk]), {"a": 1, "b": 2}))
    assert "Σ target 10.00 % → 10.00 %" in diff
    assert "AAA" in diff
    assert "5.00 10.00" in diff


@pytest.mark.parametrize("query", ["a=1&b=9", "a=x", "b=-1", "a=99999999999999999999", "a=1&b=²"])
def test_a_version_that_never_was_is_not_found(book, maya, query):
    assert maya.get(f"{reverse('model_diff', args=[book['model'].pk])}?{query}").status_code == 404
    assert maya.get(f"{edit_url(book)}?from=9").status_code == 404


def test_an_earlier_version_is_restored_as_a_new_one(book, maya, manager):
    after = draft(position(book["a"].id, "0.10"), portfolios=(book["calm"].id,))
    services.model_update(model_id=book["model"].pk, version=1, draft=after, by=manager)
    response = maya.get(edit_url(book), {"from": 1})
    editor = response.context["editor"]
    assert (editor.version, [row.target for row in editor.rows]) == (2, ["5", "5"])
    assert "nothing is saved yet" in text_of(response)


def test_a_copy_starts_from_the_model_but_without_its_portfolios(book, maya):
    editor = maya.get(reverse("model_new"), {"copy": book["model"].pk}).context["editor"]
    assert editor.name.startswith("Copy of Growth")
    assert [row.security for row in editor.rows[:2]] == ["AAA", "BBB"]
    assert editor.portfolio_ids == []


def test_deleting_needs_a_reason_and_the_current_version_and_keeps_the_history(book, maya):
    url = reverse("model_delete", args=[book["model"].pk])
    assert maya.post(url, {"version": 1, "reason": " "}).status_code == 422
    assert maya.post(url, {"version": 7, "reason": "Old"}).status_code == 409
    assert maya.post(url, {"version": "x", "reason": "Old"}).status_code == 409
    assert InvestmentModel.objects.count() == 1
    assert maya.post(url, {"version": 1, "reason": "Merged"}, follow=True).status_code == 200
    assert "Deleted" in text_of(maya.get(reverse("model_history", args=[book["model"].pk])))
    assert AuditEvent.objects.first().action == "model.delete"


def test_a_get_never_changes_anything(book, maya):
    for name in ("model_check", "model_portfolio_search"):
        assert maya.get(reverse(name)).status_code == 405
    assert maya.get(reverse("model_merge", args=[book["model"].pk])).status_code == 405
    assert maya.post(reverse("models")).status_code == 405


def test_a_list_of_many_portfolios_is_paged_and_costs_no_more_queries(book, maya, django_assert_max_num_queries):
    with together():
        more = [portfolio(f"Fund {n:03}", "1000", AAA="5").id for n in range(110)]
    services.model_portfolios_add(model_id=book["model"].pk, portfolio_ids=more, by=None)
    with django_assert_max_num_queries(20):
        response = maya.get("/portfolios/?sort=name")
    table = response.context["table"]
    assert (len(table.rows), table.total) == (100, 115)
    rest = maya.get(f"/portfolios/{table.next_href}").context["table"]
    assert (rest.first, rest.last) == (101, 115)
    assert not {row.pk for row in rest.rows} & {row.pk for row in table.rows}


def test_a_model_with_a_security_the_book_does_not_know_can_still_be_read_and_edited(book, maya):
    stray = draft(position("Z" * 24), portfolios=(book["calm"].id, "f" * 24), name="Stray")
    made = services.model_create(draft=stray, by=None)
    assert "1 portfolio of the model is not in the book" in text_of(maya.get(reverse("model", args=[made.pk])))
    editor = maya.get(reverse("model_edit", args=[made.pk])).context["editor"]
    assert (editor.rows[0].security, editor.rows[0].name) == ("Z" * 24, "not in the book")
    assert maya.get(reverse("portfolio", args=[book["calm"].id]), {"model": made.pk}).status_code == 200


def test_pages_stay_sound_when_prices_have_gaps_and_versions_are_older_than_prices(book, maya):
    ModelVersion.objects.update(saved_at=timezone.now() - timedelta(days=900))
    Price.objects.create(security=book["a"], date="2026-11-13", close=Decimal(9))
    response = maya.get(reverse("portfolio_history", args=[book["over"].id]), {"range": "3m"})
    assert [row.cells[0][0] is None for row in response.context["table"].rows] == [False, True]
    assert "–" in text_of(response)
    assert Security.objects.count() == 3
