"""The few facts about an installation that are not in its environment."""

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
