"""How often something may be tried, counted in the database, so that it holds for all processes and machines.

A try is counted *before* the password is looked at, by one guarded update, and given back where it was right. Who sends
a hundred guesses at once therefore has as many as who sends them one after the other. (django-axes 8.3, which we looked
at for this, reads the count first and writes it after the password was checked; its tables have integer keys besides.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac

from ordergen.accounts.models import Throttle
from ordergen.core.db import atomic
from ordergen.core.errors import Code, TooManyError

_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Allowance:
    """So many tries under a key; who has used them up waits."""

    key: str
    most: int

    @classmethod
    def of(cls, kind: str, whose: str, most: int) -> Allowance:
        """Of `whose` only a hash is kept: it may be a password typed into the field for the name."""
        digest = salted_hmac("ordergen.accounts.throttle", whose.encode(errors="replace"), algorithm="sha256")
        return cls(f"{kind}:{digest.hexdigest()}", most)


@dataclass(frozen=True)
class CountedTry:
    """A try that was counted: under each of the allowances the how many-th it is."""

    allowances: Sequence[Allowance]
    counts: Sequence[int]

    @property
    def is_first(self) -> bool:
        return 1 in self.counts

    @property
    def is_last(self) -> bool:
        """Whether there will be no other one for a while."""
        return any(count == allowance.most for count, allowance in zip(self.counts, self.allowances, strict=True))


class ThrottledError(TooManyError):
    """Nothing was tried. `allowance` is the one that was used up."""

    code = Code.THROTTLED

    def __init__(self, allowance: Allowance, *, retry_after: int) -> None:
        super().__init__("Too many tries that failed. Wait some minutes.", retry_after=retry_after)
        self.allowance = allowance


def count_try(*allowances: Allowance) -> CountedTry:
    """Counts one try under each of the allowances. Raises ThrottledError, and then counts none."""
    now = timezone.now()
    for allowance in allowances:  # who is refused anyway takes no lock, however often they ask
        _refuse(allowance, Throttle.objects.filter(key=allowance.key, count__gte=allowance.most, ends_at__gt=now), now)
    with atomic():
        counts = [_count(allowance, now) for allowance in allowances]
    Throttle.objects.filter(ends_at__lt=now - _FORGOTTEN_AFTER).delete()
    return CountedTry(allowances, counts)


def _refuse(allowance: Allowance, used_up: QuerySet[Throttle], now: datetime) -> None:
    if (row := used_up.first()) is not None:
        raise ThrottledError(allowance, retry_after=max(1, int((row.ends_at - now).total_seconds()) + 1))


def _count(allowance: Allowance, now: datetime) -> int:
    ends_at = now + timedelta(minutes=settings.SIGN_IN_LOCK_MINUTES)
    rows = Throttle.objects.filter(key=allowance.key)
    rows.filter(ends_at__lte=now).update(count=0, ends_at=ends_at)  # first: no row that is looked at can be forgotten
    Throttle.objects.get_or_create(key=allowance.key, defaults={"ends_at": ends_at})
    if not rows.filter(count__lt=allowance.most).update(count=F("count") + 1):
        _refuse(allowance, rows, now)
    rows.filter(count=allowance.most).update(ends_at=ends_at)  # the last try: from now on nobody is let in
    return rows.get().count


def forgive(made: CountedTry) -> None:
    """The try was right: it does not count, and those under the first allowance, the person's, are forgotten."""
    person, *others = made.allowances
    with atomic():
        Throttle.objects.filter(key=person.key).update(count=0)
        for allowance in others:
            Throttle.objects.filter(key=allowance.key, count__gt=0).update(count=F("count") - 1)
