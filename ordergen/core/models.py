"""The few facts about an installation that are not in its environment, and answers kept for who asks again."""

from __future__ import annotations

from django.db import models


class Setting(models.Model):
    name = models.CharField(primary_key=True, max_length=40)
    value = models.CharField(max_length=500)

    def __str__(self) -> str:
        return f"{self.name}={self.value}"

    @classmethod
    def read(cls, name: str) -> str:
        """The value under `name`, empty when it was never set."""
        return cls.objects.filter(name=name).values_list("value", flat=True).first() or ""


class KeptAnswer(models.Model):
    """What a write was answered, for a while: asked again under the same key, it is answered so again."""

    name = models.CharField(primary_key=True, max_length=64)  # of the caller and the key, hashed
    request_hash = models.CharField(max_length=64)
    at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField(default=0)
    body = models.TextField(blank=True)
    headers = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.status}"
