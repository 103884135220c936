"""Other systems follow what happens: from any point, in order, without a gap, and as often as they like."""

import pytest

from ordergen.audit.models import AuditEvent
from ordergen.audit.services import record
from ordergen.core.models import Setting
from rebalance_app.limits.services import limits_set
from rebalance_app.orders.decide import order_decide
from rebalance_app.runs.launch import run_launch
from tests.callers import Api


@pytest.fixture
def feed(viewer, key_for):
    """The feed, for somebody who may only read."""
    api = Api("/api/v2", **{"X-API-Key": key_for(viewer, "events:read")})

    def read(query=""):
        response = api.get(f"/events?{query}")
        assert response.status_code == 200, response.content
        return response.json()

    read.api = api
    return read


@pytest.fixture
def story(book, manager, approver, run_worker):
    """A model, its limits, a run, and a decision on an order."""
    limits_set(by=manager, scope="portfolio", subject_id=book.harbour.pk, values={"min_cash": "5"}, reason="mandate")
    run = run_worker(run_launch(by=manager, model_id=book.model.pk))
    order = run.orders.order_by("pk").first()
    order_decide(by=approver, order_ids=[order.pk], verdict="rejected", comment="no")
    return book, run


def test_every_change_is_told_in_order_with_what_it_is_about(feed, story):
    book, run = story
    page = feed()
    told = [(event["kind"], event["subject"]["type"]) for event in page["items"]]

    assert told == [
        ("model.create", "model"), ("limits.set", "limits"), ("rebalance.launched", "run"),
        ("rebalance.finished", "run"), ("orders.rejected", "run"),
    ]  # fmt: skip
    assert page["next_after"] == page["newest"] == AuditEvent.objects.count()
    limits = page["items"][1]["detail"]
    assert (limits["scope"], limits["subject_id"]) == ("portfolio", book.harbour.pk)
    assert page["items"][2]["subject"]["id"] == run.pk


def test_it_is_read_piece_by_piece_from_any_point_and_again(feed, story):
    whole = [event["id"] for event in feed()["items"]]
    seen, after = [], 0
    while (page := feed(f"after={after}&limit=2"))["items"]:
        seen += [event["id"] for event in page["items"]]
        after = page["next_after"]

    assert seen == whole
    assert [event["id"] for event in feed(f"after={feed('limit=3')['next_after']}")["items"]] == whole[3:]


def test_filters_are_by_kind_by_all_of_a_room_and_by_subject(feed, story):
    _, run = story
    assert [event["kind"] for event in feed("kind=rebalance")["items"]] == ["rebalance.launched", "rebalance.finished"]
    assert [event["kind"] for event in feed("kind=orders.rejected")["items"]] == ["orders.rejected"]
    assert len(feed(f"subject_id={run.pk}")["items"]) == 3
    assert feed("kind=orders.approved")["next_after"] == AuditEvent.objects.count(), "it moves on all the same"


def test_accounts_and_keys_are_for_auditors_alone(feed, manager):
    record("user.created", manager, "maya", by=None)
    page = feed()

    assert page["items"] == []
    assert page["next_after"] == AuditEvent.objects.count() > 0


@pytest.mark.parametrize(
    "query", ["kind=", "kind=Orders", "kind=orders.*", "after=-1", "after=x", "after=1", "since=1"]
)
def test_what_cannot_be_meant_is_refused(feed, query):
    """A cursor from before a database was put back would skip what happens next."""
    AuditEvent.objects.all()._raw_delete("default")
    assert feed.api.get(f"/events?{query}").status_code == 422


def test_a_kind_is_not_the_beginning_of_another_word(feed):
    book, _ = Setting.objects.get_or_create(name="book_version")
    record("bookkeeping.done", book, "x", by=None)
    assert feed("kind=book")["items"] == []
