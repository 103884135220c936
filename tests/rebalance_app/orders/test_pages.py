"""What the pages of orders promise to each role, with and without script."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from ordergen.audit.models import AuditEvent
from rebalance_app.models import Decision, Order
from rebalance_app.orders import selectors as order_selectors
from rebalance_app.runs.launch import run_launch
from tests.markup import hidden, words

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def test_rows_that_a_person_may_not_approve_say_why_in_the_page(client, book, person, run_worker):
    both = person("manager", "approver", name="both")
    run_worker(run_launch(by=both, model_id=book.model.pk))
    client.force_login(both)
    assert "You launched this run: another approver must decide." in words(client.get("/orders/"))
    order = Order.objects.first()
    page = client.get(f"/orders/{order.pk}/")
    assert "You launched this run: another approver must decide." in words(page)
    assert 'value="approved"' not in page.content.decode()
    assert 'value="rejected"' in page.content.decode()


def test_who_is_no_approver_sees_orders_but_nothing_to_press(client, run, viewer):
    client.force_login(viewer)
    html = client.get("/orders/").content.decode()
    assert "Approve…" not in html
    assert 'name="order"' not in html


def test_a_decision_is_restated_before_it_is_taken(as_approver, run):
    ids = list(run.orders.values_list("pk", flat=True))[:2]
    chosen = list(Order.objects.filter(pk__in=ids))
    for headers in ({}, HTMX):
        review = as_approver.post("/orders/review", {"order": ids, "verdict": "approved"}, headers=headers)
        assert ("<html" in review.content.decode()) is not bool(headers)
        text = words(review)
        assert "Approve 2 orders?" in text
        assert f"{sum(o.value for o in chosen if o.side == 'BUY'):,.2f}" in text
    assert not Decision.objects.exists()


def test_an_approver_approves_some_orders_with_a_comment(as_approver, run):
    ids = list(run.orders.values_list("pk", flat=True))[:2]
    form = {"order": ids, "verdict": "approved", "comment": "checked", "back": "/orders/?run=1"}
    response = as_approver.post("/orders/decision", form)
    assert response["Location"] == "/orders/?run=1"
    assert "2 orders approved." in words(as_approver.get(response["Location"]))
    assert set(Order.objects.filter(state="approved").values_list("pk", flat=True)) == set(ids)
    record = words(as_approver.get(f"/orders/{ids[0]}/"))
    assert "Approved by tom: “checked”" in record
    assert "as it is now" in record
    assert AuditEvent.objects.filter(action="orders.approved").exists()


def test_a_whole_run_is_decided_at_once_and_only_as_it_was_seen(as_approver, run):
    review = as_approver.post("/orders/review", {"run": run.pk, "whole_run": "on", "verdict": "rejected"})
    assert hidden(review, "expected") == str(run.n_orders)
    form = {"run": run.pk, "expected": run.n_orders - 1, "verdict": "rejected", "comment": "Not today"}
    assert as_approver.post("/orders/decision", form).status_code == 409
    as_approver.post("/orders/decision", form | {"expected": run.n_orders})
    assert set(run.orders.values_list("state", flat=True)) == {"rejected"}


@pytest.mark.parametrize("limit", ["LARGE_COUNT", "LARGE_VALUE"])
def test_a_large_approval_takes_typing_how_many_orders_it_is(as_approver, run, monkeypatch, limit):
    monkeypatch.setattr(order_selectors, limit, 1)
    ids = list(run.orders.values_list("pk", flat=True))[:3]
    form = {"order": ids, "verdict": "approved"}
    assert "type 3 to confirm" in words(as_approver.post("/orders/review", form))
    for typed in ("", "2", "<script>", "x" * 10_000):
        again = as_approver.post("/orders/decision", form | {"typed": typed})
        assert again.status_code == 422
        assert not Decision.objects.exists()
    assert as_approver.post("/orders/decision", form | {"typed": " 3 "}).status_code == 302
    assert Decision.objects.count() == 3


def test_an_ordinary_approval_and_any_rejection_need_no_typing(as_approver, run, monkeypatch):
    first, second = run.orders.values_list("pk", flat=True)[:2]
    assert "to confirm" not in words(as_approver.post("/orders/review", {"order": first, "verdict": "approved"}))
    monkeypatch.setattr(order_selectors, "LARGE_VALUE", 0)
    form = {"order": second, "verdict": "rejected", "comment": "no"}
    assert as_approver.post("/orders/decision", form).status_code == 302


def test_rejecting_without_saying_why_is_asked_again(as_approver, run):
    order = run.orders.first()
    response = as_approver.post("/orders/decision", {"order": order.pk, "verdict": "rejected", "comment": " "})
    assert response.status_code == 422
    assert "Say why the orders are rejected." in words(response)
    assert not Decision.objects.exists()


def test_nothing_selected_is_said_and_nothing_is_done(as_approver, run):
    assert "Select at least one order first." in words(as_approver.post("/orders/review", {"verdict": "approved"}))
    assert as_approver.get("/orders/review").status_code == 302
    assert as_approver.get("/orders/decision").status_code == 405


def test_after_a_decision_nobody_is_sent_to_a_foreign_address(as_approver, run):
    for back in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil"):
        order = run.orders.filter(state="proposed").first()
        form = {"order": order.pk, "verdict": "approved", "back": back}
        assert as_approver.post("/orders/decision", form)["Location"] == "/orders/"


def test_a_viewer_cannot_decide_by_knowing_the_address(client, run, viewer):
    client.force_login(viewer)
    form = {"order": run.orders.first().pk, "verdict": "approved"}
    assert client.post("/orders/decision", form).status_code == 403
    assert not Decision.objects.exists()


def test_the_blotter_sorts_by_a_click_and_keeps_its_filter(as_approver, run):
    html = as_approver.get("/orders/?run=1&sort=-value").content.decode()
    assert 'aria-sort="descending"' in html
    assert "?run=1&amp;sort=value" in html
    assert as_approver.get("/orders/?sort=<script>&after=zz").status_code == 200


def test_the_orders_listed_can_be_taken_away_as_csv(as_approver, run):
    ticker = run.orders.order_by("-value").first().ticker
    Order.objects.filter(ticker=ticker).update(portfolio_name="=cmd|' /C calc'!A0")
    response = as_approver.get(f"/orders/export.csv?run=1&ticker={ticker}&sort=-value")
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))
    kept = run.orders.filter(ticker=ticker).order_by("-value", "pk")
    assert [row["order_id"] for row in rows] == [order.pk for order in kept]
    assert [Decimal(row["value"]) for row in rows] == [order.value for order in kept]
    assert rows[0]["portfolio_name"].startswith("'=cmd")
    assert as_approver.get("/orders/export.csv?run=1e30&side=up&sort=x").status_code == 200


def test_a_comment_with_a_character_that_cannot_be_kept_stays_and_is_told_at_its_field(as_approver, run):
    form = {"verdict": "rejected", "order": [run.orders.first().pk], "comment": "too\0late"}
    page = as_approver.post("/orders/decision", form).content.decode()

    assert "Null characters are not allowed" in page
    assert "too\0late" in page
    assert not Decision.objects.exists()


def test_the_blotter_takes_as_many_queries_for_fifty_orders_as_for_one(as_approver, run, django_assert_max_num_queries):
    with django_assert_max_num_queries(16):
        as_approver.get("/orders/?run=1")


# Charts
