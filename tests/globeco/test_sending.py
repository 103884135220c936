"""Orders reach the order service once, whatever it answers: at most once by themselves, or flagged for a person."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from ordergen.core.errors import InvalidInputError, NotAllowedError, NotFoundError
from ordergen.ops.verify import verify_all
from rebalance_app.models import AttemptState, Batch, BatchOrder, Order
from rebalance_app.orders.decide import run_decide
from rebalance_app.runs.launch import run_launch
from rebalance_app.sending import send
from rebalance_app.sending.layouts import BatchLine
from rebalance_app.sending.order_service import order_json, outcomes
from rebalance_app.sending.send import batch_send, look_up, sweep_sending, unclear_settle
from rebalance_app.sending.services import batch_make
from tests.markup import words

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
LINE = BatchLine(1, "a" * 24, 7, "b" * 24, "Fell", "c" * 24, "KELP", "SELL", 550, Decimal(40), Decimal(22_000))
SENT = order_json(LINE, AT)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """What is unclear is looked up without waiting for the service to come to rest."""
    monkeypatch.setattr(send, "QUIET", timedelta(seconds=-1))


@pytest.fixture
def approved(model, manager, approver, run_worker):
    run = run_worker(run_launch(by=manager, model_id=model.pk))
    assert run_decide(
        by=approver, run_id=run.pk, verdict="approved", comment="the prices of a simulator move"
    ).n_decided
    return list(run.orders.filter(state="approved").values_list("pk", flat=True))


def leave(by, order_ids):
    batch = batch_make(by=by, order_ids=order_ids, layout="globeco").batch
    batch_send(batch.pk)
    return batch


def at_service(globeco):
    """What the order service has, as trades, each with how often."""
    orders = globeco.ask(5, "GET", "/api/v1/orders?limit=1000")[1]["content"]
    return Counter((o["portfolioId"], o["securityId"], o["orderTypeId"], o["quantity"]) for o in orders)


def trades(order_ids):
    return Counter(
        (o.portfolio_id, o.security_id, 1 if o.side == "BUY" else 2, o.quantity)
        for o in Order.objects.filter(pk__in=order_ids)
    )


def states():
    return Counter(Order.objects.values_list("state", flat=True))


@pytest.fixture
def before(globeco):
    """What the service had before this test."""
    return at_service(globeco)


def test_approved_orders_are_sent_once_sells_first_with_the_services_own_ids(before, approved, approver, globeco):
    batch = leave(approver, approved)

    assert at_service(globeco) - before == trades(approved)
    assert states() == {"sent": len(approved)}
    rows = list(batch.orders.select_related("order").order_by("place"))
    assert [row.order.side for row in rows] == sorted((row.order.side for row in rows), reverse=True)
    assert all(int(row.destination_id) for row in rows)
    batch_send(batch.pk)
    assert batch_make(by=approver, order_ids=approved, layout="globeco").batch is None
    assert at_service(globeco) - before == trades(approved)
    assert verify_all()["violations"] == 0


@pytest.mark.parametrize("fault", ["500_after", "truncated", "wrong_length", "late"])
def test_an_answer_that_does_not_come_leaves_orders_unclear_and_a_look_finds_them(
    before, approved, approver, globeco, fault
):
    globeco.fault("order", fault, times=1, seconds=0.1)
    batch = batch_make(by=approver, order_ids=approved[:5], layout="globeco").batch
    batch_send(batch.pk)
    assert states()["unknown"] == 5

    globeco.heal()
    for _ in range(100):
        if look_up():
            break
    assert states()["sent"] == 5
    assert at_service(globeco) - before == trades(approved[:5])
    assert verify_all()["violations"] == 0


def test_what_the_service_does_not_have_stays_unclear_until_a_person_says_so_and_is_then_sent(
    before, approved, approver, globeco
):
    globeco.fault("order", "500_before", times=1)
    leave(approver, approved[:2])
    globeco.heal()
    assert look_up() == 0
    assert states()["unknown"] == 2
    assert batch_make(by=approver, order_ids=approved[:2], layout="globeco").batch is None, "never by itself"

    for key in approved[:2]:
        unclear_settle(by=approver, order_id=key, was_received=False, reason="asked their desk")
    assert states()["not_sent"] == 2
    leave(approver, approved[:2])
    assert at_service(globeco) - before == trades(approved[:2])
    assert verify_all()["violations"] == 0


def test_where_nothing_went_out_orders_are_not_sent_and_may_be_sent_again(before, approved, approver, globeco):
    globeco.fault("order", "down")
    leave(approver, approved)
    assert states() == {"not_sent": len(approved)}

    globeco.heal()
    leave(approver, approved)
    assert at_service(globeco) - before == trades(approved)


def test_what_a_lost_sender_was_asking_for_is_flagged_and_never_asked_again(before, approved, approver, globeco):
    batch = batch_make(by=approver, order_ids=approved[:3], layout="globeco").batch
    long_ago = timezone.now() - timedelta(minutes=5)
    BatchOrder.objects.filter(batch=batch).update(state=AttemptState.ASKING, asked_at=long_ago)
    Batch.objects.filter(pk=batch.pk).update(token="x" * 24, lease_until=long_ago)

    sweep_sending()
    assert states()["unknown"] == 3
    assert at_service(globeco) == before


def test_a_batch_that_no_worker_heard_of_is_sent_by_the_sweeper(before, approved, approver, globeco):
    batch_make(by=approver, order_ids=approved[:3], layout="globeco")
    sweep_sending()
    assert at_service(globeco) - before == trades(approved[:3])


def test_two_senders_at_once_send_once(before, approved, approver, globeco):
    batch = batch_make(by=approver, order_ids=approved, layout="globeco").batch
    Batch.objects.filter(pk=batch.pk).update(token="x" * 24, lease_until=timezone.now() + timedelta(minutes=1))
    batch_send(batch.pk)
    assert at_service(globeco) == before
    assert states()["sending"] == len(approved)


def test_an_order_that_equals_one_at_the_service_waits(approved, approver, globeco):
    first = Order.objects.get(pk=approved[0])
    leave(approver, [first.pk])
    twin = Order.objects.exclude(proposal_id=first.proposal_id).filter(pk__in=approved).first()
    Order.objects.filter(pk=twin.pk).update(
        portfolio_id=first.portfolio_id, security_id="d" * 24, side=first.side, quantity=first.quantity
    )
    Order.objects.filter(pk=first.pk).update(security_id="d" * 24)
    made = batch_make(by=approver, order_ids=[twin.pk], layout="globeco")
    assert made.batch is None
    assert made.n_skipped == 1


@pytest.mark.parametrize("seed", range(6))
def test_whatever_it_answers_no_order_is_lost_doubled_or_without_a_flag(before, approved, approver, globeco, seed):
    rng = random.Random(seed)
    left = list(approved)
    while left:
        some, left = left[:4], left[4:]
        globeco.heal()
        fault = rng.choice(
            ["", "500_after", "500_before", "truncated", "down", "refused", "429", "503", "wrong_length"]
        )
        if fault:
            globeco.fault("order", fault, times=1)
        leave(approver, some)
    globeco.heal()
    look_up()

    there = at_service(globeco) - before
    assert max(there.values()) == 1
    assert set(there) <= set(trades(approved))
    sent = trades(Order.objects.filter(state="sent").values_list("pk", flat=True))
    assert sent == there, "what is known to be there is there, and nothing else is"
    assert set(states()) <= {"sent", "unknown", "not_sent"}
    assert verify_all()["violations"] == 0


def test_only_an_approver_settles_what_is_unclear_with_a_reason(approved, approver, manager, globeco):
    globeco.fault("order", "500_before", times=1)
    leave(approver, approved[:1])
    with pytest.raises(NotAllowedError):
        unclear_settle(by=manager, order_id=approved[0], was_received=True, reason="x")
    with pytest.raises(InvalidInputError):
        unclear_settle(by=approver, order_id=approved[0], was_received=True, reason=" ")
    with pytest.raises(NotFoundError):
        unclear_settle(by=approver, order_id=approved[1], was_received=True, reason="x")


def test_the_page_of_the_batch_shows_what_is_unclear_and_takes_a_persons_word(approved, approver, globeco, client):
    globeco.fault("order", "500_before", times=1)
    batch = leave(approver, approved[:1])
    client.force_login(approver)
    assert "Unclear" in words(client.get(f"/batches/{batch.pk}/"))
    said = {"order": approved[0], "answer": "not_received", "reason": "asked their desk"}
    client.post(f"/batches/{batch.pk}/settle", said)
    assert states()["not_sent"] == 1
    assert "asked their desk" in words(client.get(f"/batches/{batch.pk}/"))


def test_without_an_order_service_nothing_is_offered(approved, approver, settings):
    settings.ORDER_SERVICE_URL = ""
    with pytest.raises(InvalidInputError):
        batch_make(by=approver, order_ids=approved, layout="globeco")


# What an answer says for certain.

GOOD = {"status": "SUCCESS", "message": "Order created", "requestIndex": 0, "orderId": 41, "order": SENT}


def told(status, *results, raw=None):
    body = raw if raw is not None else json.dumps({"status": "PARTIAL", "orders": list(results)}).encode()
    (one,) = outcomes(status, body, [SENT])
    return one.state.value, one.destination_id, one.is_altered


@pytest.mark.parametrize(
    ("status", "results", "said"),
    [
        (200, [GOOD], ("sent", "41", False)),
        (207, [GOOD | {"order": None}], ("sent", "41", False)),
        (207, [{"status": "FAILURE", "message": "Unknown blotter", "requestIndex": 0}], ("refused", "", False)),
        (200, [], ("unclear", "", False)),
        (200, [GOOD, GOOD], ("unclear", "", False)),
        (200, [GOOD | {"requestIndex": 3}], ("unclear", "", False)),
        (200, [GOOD | {"requestIndex": True}], ("unclear", "", False)),
        (200, [GOOD | {"orderId": "41"}], ("unclear", "", False)),
        (200, [GOOD | {"order": SENT | {"quantity": 5500}}], ("unclear", "41", True)),
        (200, [GOOD | {"order": SENT | {"orderTypeId": 1}}], ("unclear", "41", True)),
        (500, [GOOD], ("unclear", "", False)),
        (400, [], ("unclear", "", False)),
        (413, [], ("not_sent", "", False)),
    ],
)
def test_only_an_orders_own_answer_says_anything_of_it(status, results, said):
    assert told(status, *results) == said


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b'{"orders": 1}', b'{"orders": [NaN]}', b'{"a":1,"a":2}', b"\xff"]
)
def test_an_answer_that_cannot_be_read_says_nothing(raw):
    assert told(200, raw=raw) == ("unclear", "", False)
