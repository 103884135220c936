"""A sender that is killed in the middle of a message sends it again, under the same id, when it is back."""

import os
import signal

import pytest

from tests.ordergen.webhooks.receiver import Receiver, silence
from tests.site import Site, eventually

SET_UP = """
from ordergen.accounts.services import user_create
from ordergen.webhooks.services import webhook_create
ada = user_create(username='ada', password='a-long-enough-word', roles=['admin'])
answer = webhook_create(by=ada, url=URL, kinds=['book']).pk
"""
HAPPEN = """
from ordergen.audit.services import record
from ordergen.core.models import Setting
book, _ = Setting.objects.get_or_create(name='book_version')
answer = [record('book.import', book, str(at), by=None).seq for at in range(3)]
"""
LEASE_IS_OVER = """
from django.utils import timezone
from ordergen.webhooks.models import Webhook
answer = Webhook.objects.exclude(token='').update(lease_until=timezone.now())
"""
TOLD = """
from ordergen.webhooks.models import WebhookAttempt
answer = [[row.seq, row.fault] for row in WebhookAttempt.objects.order_by('pk')]
"""


@pytest.mark.slow
def test_kill_9_of_the_sender_loses_nothing_and_changes_no_id(tmp_path):
    receiver = Receiver(silence)
    site = Site(tmp_path, ORDERGEN_WEBHOOK_NETWORKS="127.0.0.1/32")
    try:
        assert site.run("migrate").returncode == 0
        site.ask(f"URL = {receiver.url!r}\n{SET_UP}")
        sender = site.start("sweep", "--forever")
        seqs = site.ask(HAPPEN)
        eventually(lambda: receiver.messages, 60)
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
        assert site.ask(LEASE_IS_OVER) == 1, "the dead still owned it"
        site.start("sweep", "--forever")
        eventually(lambda: len(receiver.messages) == 4, 60)
    finally:
        site.stop()
        receiver.close()

    assert receiver.seqs == [seqs[0], *seqs]
    ids = [headers["webhook-id"] for headers, _ in receiver.messages]
    assert ids[0] == ids[1]
    assert eventually(lambda: site.ask(TOLD), 10)[-1] == [seqs[-1], ""]
