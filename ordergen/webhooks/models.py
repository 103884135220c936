"""Who is told of changes, how far they have been told, and every attempt to tell them. Nothing is deleted."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from ordergen.core.ids import object_id


class WebhookState(models.TextChoices):
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"  # by a person, or after repeated failure; nothing is lost meanwhile
    ENDED = "ended", "Ended"


class Webhook(models.Model):
    """A subscription. Every event up to `cursor` was delivered, or was none of those wanted.

    A sender owns the row while `token` is its own and `lease_until` has not passed; only then may it move the cursor.
    """

    id = models.CharField(primary_key=True, max_length=24, default=object_id, editable=False)
    url = models.CharField(max_length=500)
    description = models.CharField(max_length=200, blank=True)
    kinds = models.JSONField(default=list)  # as audit/feed has them; none: all
    salt = models.CharField(max_length=24)  # the secret is derived from it and SECRET_KEY, and kept nowhere
    state = models.CharField(max_length=8, choices=WebhookState, default=WebhookState.ACTIVE)
    why = models.CharField(max_length=500, blank=True)  # it is paused
    cursor = models.BigIntegerField()
    failures = models.PositiveIntegerField(default=0)  # in a row
    next_attempt_at = models.DateTimeField()
    token = models.CharField(max_length=24, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=["state", "next_attempt_at"]),)

    def __str__(self) -> str:
        return f"{self.url} {self.state}"


class WebhookAttempt(models.Model):
    """One request that was made. One that was cut off with its sender has no row; the event is sent again."""

    id = models.CharField(primary_key=True, max_length=24, default=object_id, editable=False)
    webhook = models.ForeignKey(Webhook, models.PROTECT, related_name="attempts", db_index=False)
    seq = models.BigIntegerField()
    event_id = models.CharField(max_length=24)
    kind = models.CharField(max_length=60)
    at = models.DateTimeField()
    milliseconds = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True)  # None: no answer
    fault = models.CharField(max_length=300, blank=True)  # empty: delivered

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=["webhook", "id"]),)

    def __str__(self) -> str:
        return f"{self.seq} {self.fault or 'delivered'}"
