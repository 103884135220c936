"""People as an administrator sees them: what they may do, and in how many ways they are in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db.models import Count, QuerySet
from django.utils import timezone

from ordergen.accounts.client import device_in_words
from ordergen.accounts.models import ApiKey, SignIn, User
from ordergen.accounts.names import RESERVED
from ordergen.accounts.roles import Role
from ordergen.accounts.sign_in.sessions import lasting


@dataclass(frozen=True)
class PersonView:
    """`is_like_another`: their name is another person's in another case, from before names were compared."""

    person: User
    n_sign_ins: int
    n_keys: int

    @property
    def roles(self) -> list[str]:
        return [str(Role(role).label) for role in self.person.roles]

    @property
    def is_like_another(self) -> bool:
        return self.person.canonical is None


@dataclass(frozen=True)
class SignInView:
    """A browser that is signed in; `is_here` where it is the one that asks."""

    row: SignIn
    is_here: bool

    @property
    def device(self) -> str:
        return device_in_words(self.row.device)


def people() -> QuerySet[User]:
    """Everybody, but not whom the open API acts as."""
    return User.objects.exclude(canonical__in=RESERVED, password__startswith=UNUSABLE_PASSWORD_PREFIX)


def person_views(rows: Iterable[User]) -> list[PersonView]:
    everybody, now = list(rows), timezone.now()
    ids = [person.pk for person in everybody]
    sign_ins = _counted(lasting(SignIn.objects.filter(user__in=ids), now))
    keys = _counted(keys_in_force(now).filter(user__in=ids))
    return [PersonView(person, sign_ins.get(person.pk, 0), keys.get(person.pk, 0)) for person in everybody]


def _counted(rows: QuerySet[SignIn] | QuerySet[ApiKey]) -> dict[str, int]:
    return dict(rows.values_list("user").annotate(n=Count("pk")).order_by())


def keys_in_force(now: datetime) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(revoked_at=None, expires_at__gt=now)


def sign_in_views(person: User, here: SignIn | None = None) -> list[SignInView]:
    """Where a person is signed in now, this browser first, then the latest first."""
    rows = lasting(person.sign_ins.all(), timezone.now()).order_by("-seen_at")
    views = [SignInView(row, here is not None and row.pk == here.pk) for row in rows]
    return sorted(views, key=lambda view: not view.is_here)
