"""A receiver on this machine, where the operator allows one; an administrator; something that happens."""

import pytest

from ordergen.audit.services import record
from ordergen.core.models import Setting
from ordergen.webhooks import deliver as sending
from ordergen.webhooks.services import webhook_create
from tests.ordergen.webhooks.receiver import Receiver


@pytest.fixture(autouse=True)
def _inside_is_allowed(settings):
    from ipaddress import ip_network

    settings.WEBHOOK_NETWORKS = (ip_network("127.0.0.1/32"),)


@pytest.fixture
def admin(person):
    return person("admin", name="ada")


@pytest.fixture
def listening():
    """Starts a receiver with these behaviours."""
    made = []

    def start(*behaviours):
        made.append(Receiver(*behaviours))
        return made[-1]

    yield start
    for receiver in made:
        receiver.close()


@pytest.fixture
def hook(admin):
    """A webhook to a receiver."""

    def make(receiver, **more):
        return webhook_create(by=admin, url=receiver.url, **more)

    return make


@pytest.fixture
def happen(db):
    """Records that many events about the book, and returns their numbers."""
    book, _ = Setting.objects.get_or_create(name="book_version")

    def record_some(n=1, action="book.import"):
        return [record(action, book, f"Number {at}", by=None, detail={"at": at}).seq for at in range(n)]

    return record_some


@pytest.fixture
def impatient(monkeypatch):
    """A deadline of two seconds."""
    from ordergen.webhooks.post import post

    monkeypatch.setattr(sending, "post", lambda *given: post(*given, seconds=2))
