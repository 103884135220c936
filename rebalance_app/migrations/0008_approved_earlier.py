from django.db import migrations
from django.db.models import F
from django.utils import timezone

from ordergen.audit.services import GENESIS, event_hash


def approved_earlier(apps, schema_editor):
    """What was approved before orders were followed to their end is neither open nor done: a person says what it is."""
    order, run = apps.get_model("rebalance_app", "Order"), apps.get_model("rebalance_app", "Rebalance")
    for concerned in run.objects.filter(n_approved__gt=0).order_by("number"):
        count = order.objects.filter(rebalance=concerned, state="approved").update(state="approved_earlier")
        run.objects.filter(pk=concerned.pk).update(n_approved=F("n_approved") - count, n_ended=count)
        _record(apps.get_model("audit", "AuditEvent"), concerned, count)


def _record(events, run, count):
    head = events.objects.order_by("-seq").values("seq", "hash").first() or {"seq": 0, "hash": GENESIS}
    event = events(
        seq=head["seq"] + 1,
        previous_hash=head["hash"],
        at=timezone.now(),
        actor_id="",
        actor="system",
        action="orders.approved_earlier",
        object_type="Rebalance",
        object_id=run.pk,
        summary=f"{count} orders of run #{run.number} approved before the upgrade: say what became of them",
        detail={"count": count},
        request_id="",
    )
    event.hash = event_hash(event)
    event.save(force_insert=True)


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0001_initial"),
        ("rebalance_app", "0007_order_states"),
    ]

    operations = [
        migrations.RunPython(approved_earlier, migrations.RunPython.noop, elidable=True),
    ]
