"""How often something may be tried, counted in the database, so that it holds for all processes and machines.

A try is counted *before* the password is looked at, by one guarded update, and given back where it was right. Who sends
a hundred guesses at once therefore has as many as who sends them one after the other. (django-axes 8.3, which we looked
at for this, reads the count first and writes it after the password was checked; its tables have integer keys besides.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from ordergen.accounts.models import Throttle
from ordergen.core.db import atomic
from ordergen.core.errors import Code, TooManyError

_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Limit:
    """So many tries under a key; who has used them up waits."""

    key: str
    most: int

    @classmethod
    def of(cls, kind: str, whose: str, most: int) -> Limit:
        """Of `whose` only a hash is kept: it may be a password typed into the field for the name."""
        return cls(f"{kind}:{hashlib.sha256(whose.encode(errors='replace')).hexdigest()}", most)


@dataclass(frozen=True)
class Claim:
    """A try that was counted: under each of the limits the how many-th it is."""

    limits: Sequence[Limit]
    counts: Sequence[int]

    @property
    def is_first(self) -> bool:
        return 1 in self.counts

    @property
    def is_last(self) -> bool:
        """Whether there will be no other one for a while."""
        return any(count == limit.most for count, limit in zip(self.counts, self.limits, strict=True))


class ThrottledError(TooManyError):
    """Nothing was tried. `limit` is the one that was used up."""

    code = Code.THROTTLED

    def __init__(self, limit: Limit, *, retry_after: int) -> None:
        super().__init__("Too many tries that failed. Wait some minutes.", retry_after=retry_after)
        self.limit = limit


def claim(*limits: Limit) -> Claim:
    """Counts one try under each of the limits. Raises ThrottledError, and then counts none."""
    now = timezone.now()
    for limit in limits:  # who is refused anyway takes no lock, however often they ask
        _refuse(limit, Throttle.objects.filter(key=limit.key, count__gte=limit.most, ends_at__gt=now), now)
    with atomic():
        counts = [_count(limit, now) for limit in limits]
    Throttle.objects.filter(ends_at__lt=now - _FORGOTTEN_AFTER).delete()
    return Claim(limits, counts)


def _refuse(limit: Limit, used_up: QuerySet[Throttle], now: datetime) -> None:
    if (row := used_up.first()) is not None:
        raise ThrottledError(limit, retry_after=max(1, int((row.ends_at - now).total_seconds()) + 1))


def _count(limit: Limit, now: datetime) -> int:
    ends_at = now + timedelta(minutes=settings.SIGN_IN_LOCK_MINUTES)
    Throttle.objects.get_or_create(key=limit.key, defaults={"ends_at": ends_at})
    rows = Throttle.objects.filter(key=limit.key)
    rows.filter(ends_at__lte=now).update(count=0, ends_at=ends_at)
    if not rows.filter(count__lt=limit.most).update(count=F("count") + 1):
        _refuse(limit, rows, now)
    rows.filter(count=limit.most).update(ends_at=ends_at)  # the last try: from now on nobody is let in
    return rows.get().count


def forgive(made: Claim) -> None:
    """The try was right: it does not count, and what was tried under the first limit, the person's, is forgotten."""
    person, *others = made.limits
    with atomic():
        Throttle.objects.filter(key=person.key).update(count=0)
        for limit in others:
            Throttle.objects.filter(key=limit.key, count__gt=0).update(count=F("count") - 1)
