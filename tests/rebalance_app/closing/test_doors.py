"""Closing by page, by file, by API v2 and by command line: one service, and what is wrong is said where it stands."""

import json

import pytest

from ordergen.ops.cli import main
from rebalance_app.models import Order
from tests.markup import hidden, words
from tests.rebalance_app.closing.book import state_holdings

pytestmark = pytest.mark.django_db
JSON = "application/json"


def ends():
    return {o.ticker: (o.state, o.quantity_done) for o in Order.objects.all()}


# The page.


def test_chosen_orders_are_asked_about_first_and_then_closed(as_approver, approved):
    asked = as_approver.post("/orders/close", {"order": approved.buys, "back": "/orders/?tab=approved"})
    assert "What became of 2 orders?" in words(asked)
    assert ends()["RUNE"] == ("approved", None)

    rune, moss = approved.buys
    form = {"order": [rune, moss], "sent": "1", "outcome": "cancelled", "reason": "no bid", f"done_{rune}": "1,000"}
    done = as_approver.post("/orders/close", form | {"back": "/orders/?tab=approved"})
    assert done["Location"] == "/orders/?tab=approved"
    assert ends() == {"KELP": ("approved", None), "RUNE": ("cancelled", 1000), "MOSS": ("cancelled", 0)}
    assert "2 orders closed." in words(as_approver.get("/orders/?tab=ended"))


@pytest.mark.parametrize("typed", ["0", "1501", "-1", "1.5", "10" * 15, "NaN", "<script>"])
def test_a_quantity_that_cannot_be_is_said_at_its_field_and_what_was_typed_stays(as_approver, approved, typed):
    rune = approved.buys[0]
    form = {"order": [rune], "sent": "1", "outcome": "closed", "reason": "by telephone", f"done_{rune}": typed}
    page = as_approver.post("/orders/close", form)

    html = page.content.decode()
    assert page.status_code == 422
    assert "by telephone" in html
    assert f'name="done_{rune}"' in html
    assert 'aria-invalid="true"' in html
    assert "<script>" not in html.replace("<script ", "")
    assert ends()["RUNE"] == ("approved", None)


def test_without_outcome_or_reason_nothing_is_closed(as_approver, approved):
    page = as_approver.post("/orders/close", {"order": approved.buys, "sent": "1"})
    assert page.status_code == 422
    assert set(Order.objects.values_list("state", flat=True)) == {"approved"}


def test_who_is_no_approver_closes_nothing_by_any_door(as_manager, approved):
    assert as_manager.post("/orders/close", {"order": approved.buys, "sent": "1"}).status_code == 403
    assert as_manager.get("/orders/close/file").status_code == 403
    body = {"orders": [{"order_id": approved.sale, "outcome": "closed"}], "reason": "x"}
    assert as_manager.post("/api/v2/orders/closings", json.dumps(body), content_type=JSON).status_code == 403
    assert as_manager.post("/api/v2/orders/fits/confirmations", '{"seen": ""}', content_type=JSON).status_code == 403
    assert as_manager.post("/orders/fits/", {"seen": ""}).status_code == 403


def test_the_page_of_an_order_on_its_way_offers_to_close_it(as_approver, approved):
    assert "What became of it" in words(as_approver.get(f"/orders/{approved.sale}/"))


# A file.


@pytest.fixture
def upload(as_approver):
    def send(text, reason=""):
        from django.core.files.uploadedfile import SimpleUploadedFile

        file = SimpleUploadedFile("closed.csv", text.encode())
        sent = as_approver.post("/orders/close/file", {"file": file, "reason": reason})
        return sent["Location"]

    return send


def test_a_file_is_looked_at_and_then_closes_all_of_it(as_approver, approved, upload):
    rune, moss = approved.buys
    preview = upload(f"order_id,outcome,quantity,reason\n{rune},done,,\n{moss},lapsed,10,day order\n", "filled")
    assert "Close 2 orders" in words(as_approver.get(preview))
    assert ends()["MOSS"] == ("approved", None)

    as_approver.post(preview)
    assert (ends()["RUNE"], ends()["MOSS"]) == (("closed", 1500), ("lapsed", 10))


def test_every_problem_of_a_file_is_said_by_its_line_and_nothing_is_closed(as_approver, approved, upload):
    rune, moss = approved.buys
    rows = f"{rune},done,1501,x\n{moss},lapsed,50,\n{'f' * 24},done,,x\n{moss},cancelled,,x\n"
    page = as_approver.get(upload(f"order_id,outcome,quantity,reason\n{rows}"))

    assert page.status_code == 422
    said = words(page)
    assert "1 to 1,500 of BUY 1,500 RUNE" in said
    assert "there is no such order" in said
    assert "is named 2 times" in said
    assert "say why" in said
    assert set(Order.objects.values_list("state", flat=True)) == {"approved"}


# The holdings.


def test_the_page_shows_what_holdings_show_and_one_click_confirms_it(as_approver, approved):
    state_holdings(KELP=450, RUNE=700, MOSS=61)
    page = as_approver.get("/orders/fits/")
    said = words(page)
    assert "Confirm 2" in said
    assert "61 held, 0 before: +61 where +50 was wanted." in said

    done = as_approver.post("/orders/fits/", {"seen": hidden(page, "seen")}, follow=True)
    assert "Confirmed: 1 done, 1 partly done, 0 not done." in words(done)
    assert ends() == {"KELP": ("closed", 550), "RUNE": ("partly_filled", 700), "MOSS": ("approved", None)}


def test_a_page_that_was_open_too_long_confirms_nothing(as_approver, approved):
    state_holdings(KELP=450, RUNE=1500, MOSS=50)
    seen = hidden(as_approver.get("/orders/fits/"), "seen")
    state_holdings(KELP=451, RUNE=1500, MOSS=50)

    assert as_approver.post("/orders/fits/", {"seen": seen}).status_code == 409
    assert set(Order.objects.values_list("state", flat=True)) == {"approved"}


# API v2.


def test_a_program_closes_orders_and_confirms_what_holdings_show(as_approver, approved):
    body = {"orders": [{"order_id": approved.sale, "outcome": "closed", "quantity": 550}], "reason": "by telephone"}
    closed = as_approver.post("/api/v2/orders/closings", json.dumps(body), content_type=JSON)
    assert (closed.status_code, closed.json()["n_decided"]) == (200, 1)

    state_holdings(KELP=450, RUNE=1500, MOSS=20)
    fits = as_approver.get("/api/v2/orders/fits").json()
    assert fits["counts"] == {"done": 1, "partly_done": 1}
    confirmed = as_approver.post(
        "/api/v2/orders/fits/confirmations", json.dumps({"seen": fits["seen"]}), content_type=JSON
    )
    assert confirmed.json() == {"counts": {"done": 1, "partly_done": 1}}


def test_a_problem_names_the_field(as_approver, approved):
    body = {"orders": [{"order_id": approved.sale, "outcome": "lapsed", "quantity": 550}], "reason": "x"}
    refused = as_approver.post("/api/v2/orders/closings", json.dumps(body), content_type=JSON)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["orders.0.quantity"]


# The command line.


def test_the_command_line_closes_by_file_and_confirms_fits(tmp_path, approved, capsys):
    file = tmp_path / "closed.csv"
    file.write_text(f"order_id,outcome\n{approved.sale},done\n")
    assert main(["orders", "close", str(file), "--reason", "by telephone"]) == 0
    assert "1 closed, 0 left alone." in capsys.readouterr().out

    state_holdings(KELP=450, RUNE=1500, MOSS=50)
    assert main(["orders", "fits", "--confirm", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"counts": {"done": 2}, "confirmed": True}
    assert {state for state, _ in ends().values()} == {"closed"}


def test_and_says_every_problem_and_ends_with_one(tmp_path, approved, capsys):
    file = tmp_path / "closed.csv"
    file.write_text(f"order_id,outcome\n{approved.sale},done\n{approved.sale},done\n")
    assert main(["orders", "close", str(file), "--reason", "x"]) == 1
    told = capsys.readouterr().err
    assert told.count("is named 2 times") == 2
    assert "Nothing was closed" in told.splitlines()[-1]
