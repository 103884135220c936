"""What can hardly be right in a file: shown with its numbers, and taken only from somebody who says why it is right."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from django.conf import settings

from models_app.models import Security
from models_app.portfolio.units import DIVIDE
from models_app.reading.questions import Question
from models_app.reading.rows import FileRow
from models_app.sources.local import LocalSource

_SHOWN = 10
_NEAR = Decimal("0.02")  # how far a ratio may be from a whole one to be a split's
_SPLITS = (2, 3, 4, 5, 6, 7, 8, 15, 20, 25, 30, 50)
Close = tuple[date, Decimal]


def jumped_prices(rows: list[FileRow]) -> Question | None:
    """Asks about newest prices that differ from the book's by more than settings.PRICE_JUMP; None without one."""
    newest = _newest(rows)
    tickers = {pk: ticker for pk, ticker in Security.objects.values_list("pk", "ticker") if ticker in newest}
    known = LocalSource().latest_prices(tickers)
    pairs = ((tickers[pk], newest[tickers[pk]], (info.date, info.price)) for pk, info in known.items())
    jumps = sorted(pair for pair in pairs if pair[2][0] <= pair[1][0] and _is_jump(*pair[1:]))
    if not jumps:
        return None
    evidence = [_told(*jump) for jump in jumps[:_SHOWN]]
    evidence += [f"and {len(jumps) - _SHOWN:,} more"] if len(jumps) > _SHOWN else []
    which = "1 price is" if len(jumps) == 1 else f"{len(jumps):,} prices are"
    text = f"{which} more than {settings.PRICE_JUMP:.0%} away from the one before. If that is right, say why."
    return Question("jumped", text, (), tuple(evidence))


def _newest(rows: list[FileRow]) -> dict[str, Close]:
    newest: dict[str, Close] = {}
    for row in rows:
        values = row.values
        known, day = newest.get(values["ticker"]), values["date"]
        if known is None or day > known[0]:
            newest[values["ticker"]] = (day, values["close"])
    return newest


def _is_jump(after: Close, before: Close) -> bool:
    return abs(after[1] - before[1]) > settings.PRICE_JUMP * before[1]


def _told(ticker: str, after: Close, before: Close) -> str:
    ratio = DIVIDE.divide(max(after[1], before[1]), min(after[1], before[1]))
    return (
        f"{ticker}: {before[1].normalize():f} ({before[0]}) → {after[1].normalize():f} ({after[0]}){_suspected(ratio)}"
    )


def _suspected(ratio: Decimal) -> str:
    """What such a ratio often is. A suspicion only: which number is right nobody can tell from it."""
    if abs(ratio - 100) <= 100 * _NEAR:
        return ", about a hundred times: pence for pounds, or a slipped point?"
    if abs(ratio - 10) <= 10 * _NEAR:
        return ", about ten times: a split, or a slipped point?"
    split = next((n for n in _SPLITS if abs(ratio - n) <= n * _NEAR), None)
    return f", about {split} to 1: a split?" if split else ""
