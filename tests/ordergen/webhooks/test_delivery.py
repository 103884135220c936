"""What happens is sent at least once, in order and signed, whatever the receiver does; and nothing else is sent."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from ordergen.audit.models import AuditEvent
from ordergen.core.errors import InvalidInputError
from ordergen.webhooks import deliver as sending
from ordergen.webhooks.addresses import resolve
from ordergen.webhooks.deliver import deliver, due
from ordergen.webhooks.models import Webhook
from ordergen.webhooks.sender import deliver_due
from ordergen.webhooks.services import secret_of, webhook_end, webhook_pause, webhook_replay, webhook_resume
from tests.ordergen.webhooks.receiver import drip, endless_head, huge, nonsense, reset, silence, status

FAULTS = {
    "500": (status(500), "The receiver answered 500."),
    "404": (status(404), "The receiver answered 404."),
    "a redirect": (status(302, "Location: http://127.0.0.1:1/"), "A redirect, which is not followed."),
    "a reset": (reset, "ReadError"),
    "silence": (silence, "No answer within 2 seconds."),
    "a byte now and then": (drip, "No answer within 2 seconds."),
    "another protocol": (nonsense, "RemoteProtocolError"),
    "headers without an end": (endless_head, "RemoteProtocolError"),
}


def now(webhook):
    """It as it is stored, with the pause before the next attempt over."""
    Webhook.objects.filter(pk=webhook.pk).update(next_attempt_at=timezone.now())
    webhook.refresh_from_db()
    return webhook


def test_events_are_sent_in_order_each_once_and_under_its_own_id(listening, hook, happen):
    receiver = listening()
    webhook = hook(receiver)
    seqs = happen(3)

    assert deliver_due() == 3
    assert deliver_due() == 0
    assert receiver.seqs == seqs
    ids = [headers["webhook-id"] for headers, _ in receiver.messages]
    assert ids == [AuditEvent.objects.get(seq=seq).pk for seq in seqs]
    assert [attempt.seq for attempt in webhook.attempts.order_by("pk")] == seqs
    assert due() == []


def test_a_message_is_verified_by_the_library_and_by_no_other_secret(listening, hook, happen):
    receiver = listening()
    webhook, other = hook(receiver), hook(receiver)
    happen()
    deliver(webhook.pk)
    headers, body = receiver.messages[0]

    told = Verifier(secret_of(webhook)).verify(body, headers)
    assert (told["type"], told["data"]["summary"], told["data"]["detail"]) == ("book.import", "Number 0", {"at": 0})
    with pytest.raises(WebhookVerificationError):
        Verifier(secret_of(other)).verify(body, headers)


def test_only_the_wanted_kinds_are_sent_and_nothing_of_accounts(listening, hook, happen):
    receiver = listening()
    webhook = hook(receiver, kinds=["rebalance", "book.import"])
    wanted = happen(1), happen(1, "model.create"), happen(1, "rebalance.launched"), happen(1, "book.demo")
    deliver(webhook.pk)

    assert receiver.seqs == [wanted[0][0], wanted[2][0]]
    assert now(webhook).cursor == AuditEvent.objects.count(), "what was not wanted is behind it too"
    assert not AuditEvent.objects.filter(seq__in=receiver.seqs, object_type="Webhook").exists()


@pytest.mark.parametrize("name", FAULTS)
def test_after_every_fault_the_same_event_comes_again_and_then_the_rest(name, listening, hook, happen, impatient):
    behaviour, fault = FAULTS[name]
    receiver = listening(behaviour)
    webhook = hook(receiver)
    seqs = happen(2)
    started = time.monotonic()

    assert deliver(webhook.pk) == 0
    assert time.monotonic() - started < 30
    assert now(webhook).failures == 1
    assert deliver(webhook.pk) == 2
    assert receiver.seqs == [seqs[0], *seqs]
    ids = [headers["webhook-id"] for headers, _ in receiver.messages]
    assert ids[0] == ids[1], "one event, one id"
    assert webhook.attempts.order_by("pk")[0].fault.startswith(fault)
    assert now(webhook).failures == 0


def test_a_huge_answer_is_not_read(listening, hook, happen, impatient):
    receiver = listening(huge)
    webhook = hook(receiver)
    happen()
    started = time.monotonic()

    assert deliver(webhook.pk) == 1
    assert time.monotonic() - started < 30
    assert webhook.attempts.get().status == 200


def test_nobody_there_is_a_fault_like_any_other(listening, hook, happen):
    receiver = listening()
    webhook = hook(receiver)
    receiver.close()
    happen()

    assert deliver(webhook.pk) == 0
    assert webhook.attempts.get().fault.startswith("ConnectError")


def test_each_failure_waits_twice_as_long_and_the_last_one_pauses(listening, hook, happen, monkeypatch):
    monkeypatch.setattr(sending, "MAX_FAILURES", 4)
    receiver = listening(*[status(503)] * 4)
    webhook = hook(receiver)
    seqs = happen(1)
    pauses = []
    for _ in range(3):
        assert deliver(now(webhook).pk) == 0
        webhook.refresh_from_db()
        pauses.append(round((webhook.next_attempt_at - timezone.now()).total_seconds()))
        assert deliver(webhook.pk) == 0, "not before its time"
    deliver(now(webhook).pk)
    webhook.refresh_from_db()

    assert pauses == [5, 10, 20]
    assert webhook.state == "paused"
    assert webhook.cursor < seqs[0], "nothing is lost"
    assert webhook.why == f"Event {seqs[0]} failed 4 times in a row: The receiver answered 503."
    assert AuditEvent.objects.filter(action="webhook.paused", object_id=webhook.pk).count() == 1
    assert due() == []


def test_gone_pauses_at_once(listening, hook, happen):
    webhook = hook(listening(status(410)))
    happen()
    deliver(webhook.pk)

    assert now(webhook).state == "paused"


def test_what_happens_during_a_pause_is_sent_afterwards(listening, hook, happen, admin):
    receiver = listening()
    webhook = hook(receiver)
    webhook_pause(by=admin, webhook_id=webhook.pk)
    seqs = happen(2)
    assert deliver_due() == 0
    webhook_resume(by=admin, webhook_id=webhook.pk)

    assert deliver_due() == 2
    assert receiver.seqs == seqs


def test_a_replay_sends_again_under_the_same_ids(listening, hook, happen, admin):
    receiver = listening()
    webhook = hook(receiver)
    seqs = happen(3)
    deliver_due()
    webhook_replay(by=admin, webhook_id=webhook.pk, after=seqs[0])
    deliver_due()

    assert receiver.seqs == [*seqs, *seqs[1:]]
    ids = [headers["webhook-id"] for headers, _ in receiver.messages]
    assert ids[3:] == ids[1:3]


def test_one_sender_at_a_time_and_the_next_when_it_died(listening, hook, happen):
    receiver = listening()
    webhook = hook(receiver)
    happen()
    Webhook.objects.update(token="somebody", lease_until=timezone.now() + timedelta(seconds=60))
    assert (due(), deliver(webhook.pk)) == ([], 0)
    Webhook.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert deliver_due() == 1


@pytest.mark.parametrize("turn", [webhook_pause, webhook_end])
def test_who_is_stopped_while_sending_moves_nothing_any_more(turn, listening, hook, happen, admin, monkeypatch):
    receiver = listening()
    webhook = hook(receiver)
    seqs = happen(2)

    def meanwhile(*given):
        turn(by=admin, webhook_id=webhook.pk)
        return sending_post(*given)

    sending_post = sending.post
    monkeypatch.setattr(sending, "post", meanwhile)
    assert deliver(webhook.pk) == 0
    webhook.refresh_from_db()
    assert receiver.seqs == seqs[:1]
    assert webhook.cursor < seqs[0]


# Where it may go


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.2/", "https://10.1.2.3/", "https://192.168.0.1/", "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/", "https://[::ffff:127.0.0.2]/", "https://[64:ff9b::7f00:2]/", "https://[fe80::1]/",
        "https://[2002:7f00:2::]/", "https://0.0.0.0/", "https://2130706434/", "https://0x7f.2/", "https://127.2/",
        "https://224.0.0.1/", "https://100.64.0.1/", "http://8.8.8.8/", "ftp://example.org/", "https://", "//x/", "",
        "https://user:pw@8.8.8.8/", "https://8.8.8.8:99999/", "https://8.8.8.8/ x", "https://exämple.org/",
        "https://8.8.8.8/#x", "javascript:alert(1)", "https://8.8.8.8/" + "x" * 500, "https://[", "https://no.invalid/",
    ],
)  # fmt: skip
def test_an_address_inside_or_none_at_all_is_refused_at_its_field(url):
    with pytest.raises(InvalidInputError) as refused:
        resolve(url)
    assert set(refused.value.fields) == {"url"}


def test_public_addresses_are_taken_over_tls_and_allowed_ones_without():
    assert resolve("https://8.8.8.8/x").addresses == ("8.8.8.8",)
    assert resolve("http://127.0.0.1:8000/x").addresses == ("127.0.0.1",)


def test_a_name_that_points_inside_by_now_is_not_called(listening, hook, happen, settings):
    receiver = listening()
    webhook = hook(receiver)
    settings.WEBHOOK_NETWORKS = ()
    happen()
    deliver(webhook.pk)

    assert receiver.messages == []
    assert "no public address" in webhook.attempts.get().fault


def test_the_connection_goes_to_the_address_that_was_checked(listening, hook, happen, monkeypatch):
    """A name server that answers otherwise the second time is not asked a second time."""
    import socket

    receiver = listening()
    port = int(receiver.url.split(":")[2].split("/")[0])
    webhook = hook(receiver)
    Webhook.objects.update(url=f"http://rebinding.example:{port}/hook")
    asked = []

    def once(host, port, *rest, **more):
        asked.append(host)
        assert host in ("rebinding.example", "127.0.0.1"), host
        address = "127.0.0.1" if asked.count("rebinding.example") <= 1 else "127.0.0.9"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", once)
    happen()

    assert deliver(webhook.pk) == 1
    assert asked.count("rebinding.example") == 1
    assert receiver.messages[0][0]["host"] == f"rebinding.example:{port}"
    assert json.loads(receiver.messages[0][1])["type"] == "book.import"
