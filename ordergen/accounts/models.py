"""People who sign in, where they are signed in, and how often somebody tried to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models

from ordergen.accounts.names import MAX_LENGTH, canonical
from ordergen.accounts.roles import PERMISSIONS, Role
from ordergen.core.errors import NotAllowedError
from ordergen.core.ids import object_id


def check_roles(value: object) -> None:
    if not isinstance(value, list) or not set(value) <= set(Role.values):
        raise ValidationError(f"Roles are a list of {', '.join(Role.values)}.")


class People(UserManager["User"]):
    """Finds a person by their name as people write it."""

    def named(self, name: str) -> User | None:
        """The person of this name, whatever its case.

        Of two whose names were alike before names were compared, the later one has no canonical form and answers to
        exactly the name as it was given.
        """
        exactly = self.filter(canonical=None, username=name).first()
        return exactly or self.filter(canonical=canonical(name)).first()

    def get_by_natural_key(self, username: str | None) -> User:
        """What Django asks when somebody signs in. Raises User.DoesNotExist."""
        found = self.named(username or "")
        if found is None:
            raise User.DoesNotExist
        return found


class User(AbstractUser):
    """A person. Roles decide what they may do; being a superuser opens nothing here, least of all approval."""

    id = models.CharField(primary_key=True, max_length=24, default=object_id, editable=False)
    roles = models.JSONField(default=list, validators=[check_roles])
    # The name as names are compared. None: somebody has it already, from before they were; an administrator decides.
    canonical = models.CharField(max_length=MAX_LENGTH, unique=True, null=True, editable=False)  # noqa: DJ001  unique
    # An administrator knows this password: whoever signs in with it chooses another before anything else.
    must_change_password = models.BooleanField(default=False)

    objects = People()  # type: ignore[misc]  # Django declares its own per class

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding:
            self.canonical = canonical(self.username)
        super().save(*args, **kwargs)

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


class SignIn(models.Model):
    """One browser in which a person is signed in, from the password to the end; the session carries its id."""

    id = models.CharField(primary_key=True, max_length=24, default=object_id, editable=False)
    user = models.ForeignKey(User, models.PROTECT, related_name="sign_ins")
    at = models.DateTimeField()
    seen_at = models.DateTimeField()  # when the person last did something; a page that refreshes itself does not count
    confirmed_at = models.DateTimeField()  # when the password was last given
    address = models.CharField(max_length=45)
    device = models.CharField(max_length=200)  # the browser's own words, for people to recognise
    ended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.user_id} since {self.at}"


class Authenticator(models.Model):
    """A person's app that shows codes; `last_step` is the half minute of the latest code that was used."""

    user = models.OneToOneField(User, models.PROTECT, primary_key=True, related_name="authenticator")
    seed = models.CharField(max_length=32)
    added_at = models.DateTimeField()
    last_step = models.BigIntegerField()

    def __str__(self) -> str:
        return f"of {self.user_id}"


class Throttle(models.Model):
    """How often something was tried under a key until `ends_at`; then the count begins anew."""

    key = models.CharField(primary_key=True, max_length=80)
    count = models.PositiveIntegerField(default=0)
    ends_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.key}: {self.count}"
