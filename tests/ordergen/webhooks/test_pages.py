"""An administrator sets webhooks up on a page, sees how they fare, and sends again."""

import pytest

from ordergen.webhooks.deliver import deliver
from ordergen.webhooks.models import Webhook
from ordergen.webhooks.services import secret_of
from tests.ordergen.webhooks.receiver import status


@pytest.fixture
def signed_in(client, admin):
    client.force_login(admin)
    return client


def text(response):
    return response.content.decode()


def test_a_webhook_is_set_up_and_its_secret_shown(signed_in, listening):
    url = listening().url
    answer = signed_in.post("/webhooks/", {"url": url, "kinds": ["orders"], "description": "<b>OMS"}, follow=True)
    webhook = Webhook.objects.get()

    assert answer.redirect_chain[-1][0] == f"/webhooks/{webhook.pk}/"
    assert secret_of(webhook) in text(answer)
    assert "<b>OMS" not in text(answer)
    assert url in text(signed_in.get("/webhooks/"))


@pytest.mark.parametrize("url", ["", "https://10.0.0.1/", "x" * 600, "javascript:alert(1)", "https://a b/"])
def test_a_wrong_address_is_said_at_its_field_and_what_was_typed_stays(signed_in, url):
    answer = signed_in.post("/webhooks/", {"url": url, "description": "kept as typed", "kinds": ["orders"]})

    assert answer.status_code == 422
    assert answer.context["form"].errors["url"]
    assert "kept as typed" in text(answer)
    assert not Webhook.objects.exists()


def test_its_page_tells_of_every_attempt_and_sends_again(signed_in, listening, hook, happen, monkeypatch):
    monkeypatch.setattr("ordergen.webhooks.views.PAGE_SIZE", 1)
    receiver = listening(status(500))
    webhook = hook(receiver)
    (seq,) = happen()
    path = f"/webhooks/{webhook.pk}/"
    deliver(webhook.pk)
    assert "The receiver answered 500." in text(signed_in.get(path))
    signed_in.post(f"{path}pause/")
    assert "Paused." in text(signed_in.get(path))
    signed_in.post(f"{path}resume/")
    deliver(webhook.pk)
    assert "204, taken" in text(signed_in.get(path))
    assert "Older" in text(signed_in.get(path))
    signed_in.post(f"{path}replay/", {"after": seq - 1})
    deliver(webhook.pk)

    assert receiver.seqs == [seq, seq, seq]


@pytest.mark.parametrize("after", ["", "-1", "NaN", "1e30", "999999", "9" * 30, "\x00"])
def test_a_number_that_cannot_be_is_refused_at_its_field(signed_in, listening, hook, after):
    webhook = hook(listening())
    answer = signed_in.post(f"/webhooks/{webhook.pk}/replay/", {"after": after})

    assert answer.status_code in (400, 422)
    assert Webhook.objects.get().cursor == webhook.cursor


def test_a_verb_that_there_is_not_and_a_webhook_that_never_was_are_not_found(signed_in, listening, hook):
    webhook = hook(listening())
    assert signed_in.post(f"/webhooks/{webhook.pk}/explode/").status_code == 404
    assert signed_in.get(f"/webhooks/{'0' * 24}/").status_code == 404


@pytest.mark.parametrize("path", ["", "{pk}/", "{pk}/pause/", "{pk}/replay/"])
def test_nobody_but_an_administrator_sees_or_turns_them(client, manager, listening, hook, path):
    webhook = hook(listening())
    client.force_login(manager)
    address = f"/webhooks/{path.format(pk=webhook.pk)}"

    assert client.get(address).status_code in (403, 405)
    assert client.post(address, {"after": 0, "url": "https://example.org/"}).status_code in (403, 405)
    assert Webhook.objects.get().state == "active"
