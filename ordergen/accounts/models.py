"""People who sign in."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models

from ordergen.accounts.roles import PERMISSIONS, Role
from ordergen.core.errors import NotAllowedError
from ordergen.core.ids import object_id


def check_roles(value: object) -> None:
    if not isinstance(value, list) or not set(value) <= set(Role.values):
        raise ValidationError(f"Roles are a list of {', '.join(Role.values)}.")


class User(AbstractUser):
    """A person. Roles decide what they may do; being a superuser opens nothing here, least of all approval."""

    id = models.CharField(primary_key=True, max_length=24, default=object_id, editable=False)
    roles = models.JSONField(default=list, validators=[check_roles])

    def can(self, permission: str) -> bool:
        """Whether one of this person's roles grants `permission`; an unknown permission is a KeyError."""
        return self.is_active and not PERMISSIONS[permission].isdisjoint(self.roles)

    def must(self, permission: str) -> None:
        """Raises NotAllowedError unless `can(permission)`, naming the roles that could."""
        if not self.can(permission):
            names = _in_words(Role(role).label.lower() for role in sorted(PERMISSIONS[permission]))
            raise NotAllowedError(f"This needs the role {names}. An administrator can grant it.")

    @property
    def display_name(self) -> str:
        return self.get_full_name() or self.username


def _in_words(names: Iterable[str]) -> str:
    return " or ".join(names)


class ApiKey(models.Model):
    """A program's way in, on behalf of its owner; the owner's roles bound what its scopes allow."""

    id = models.CharField(primary_key=True, max_length=24, default=object_id, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, unique=True)
    sha256 = models.CharField(max_length=64)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
