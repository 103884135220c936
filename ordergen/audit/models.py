"""The append-only record of every state change."""

from __future__ import annotations

from typing import Any

from django.db import models

from ordergen.core.errors import ConflictError
from ordergen.core.ids import object_id


class AuditEvent(models.Model):
    """One change. `hash` covers the event and the hash before it, so that no row can be altered or taken out unseen."""

    id = models.CharField(primary_key=True, max_length=24, default=object_id)
    seq = models.BigIntegerField(unique=True)
    previous_hash = models.CharField(max_length=64, unique=True)
    hash = models.CharField(max_length=64)
    at = models.DateTimeField()
    actor_id = models.CharField(max_length=24, blank=True)
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=24, db_index=True)
    summary = models.CharField(max_length=500)
    detail = models.JSONField(default=dict)
    request_id = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ("-seq",)

    def __str__(self) -> str:
        return f"{self.seq} {self.action} {self.summary}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Inserts; an event that exists cannot be saved again."""
        if not self._state.adding:
            raise ConflictError("The audit trail is append-only.")
        super().save(*args, **kwargs)

    def delete(self, *_args: Any, **_kwargs: Any) -> tuple[int, dict[str, int]]:
        raise ConflictError("The audit trail is append-only.")
