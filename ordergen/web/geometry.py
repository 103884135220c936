"""Geometry of the small drawings inside tables: figures in, SVG path data out. Pure; drawings.py has the tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

HALF = Decimal("0.5")
SPAN = Decimal(2)  # a bullet shows −200 % … +200 % of band use
SMALLEST = Decimal("0.01")  # segments below one per cent are drawn together


def at(value: Decimal) -> str:
    return f"{value:.1f}"


@dataclass(frozen=True, slots=True)
class Bullet:
    """A signed band use against its band: block from −100 % to +100 %, tick at 0, marker at the use."""

    use: Decimal
    tone: str
    width: int
    no_band: bool = False

    @property
    def middle(self) -> Decimal:
        return self.width * HALF

    def x(self, use: Decimal) -> Decimal:
        reach = self.middle - 5  # room for half a marker
        return self.middle + max(-SPAN, min(SPAN, use)) / SPAN * reach

    @property
    def colour(self) -> str:
        return f"var(--{self.tone or 'muted'})"

    @property
    def band(self) -> str:
        left, right = at(self.x(Decimal(-1))), at(self.x(Decimal(1)))
        return "" if self.no_band else f"M{left} 3H{right}V13H{left}z"

    @property
    def edges(self) -> str:
        left, right = at(self.x(Decimal(-1))), at(self.x(Decimal(1)))
        return "" if self.no_band else f"M{left} 2v12M{right} 2v12"

    @property
    def tick(self) -> str:
        return f"M{at(self.middle)} 1v14"

    @property
    def line(self) -> str:
        return f"M{at(self.middle)} 8H{at(self.x(self.use))}"

    @property
    def marker(self) -> str:
        x = self.x(self.use)
        if abs(self.use) > SPAN:  # beyond the scale: an arrow head that points out of it
            step = 8 if self.use > 0 else -8
            return f"M{at(x + (5 if self.use > 0 else -5))} 8l{-step} -5v10z"
        if self.tone == "sell":
            return f"M{at(x - 5)} 4h10l-5 8z"
        if self.tone == "buy":
            return f"M{at(x - 5)} 12h10l-5 -8z"
        return f"M{at(x)} 4a4 4 0 1 1 0 8 4 4 0 0 1 0 -8z"


@dataclass(frozen=True, slots=True)
class Dumbbell:
    """Two values, neither negative, on a scale from 0 to `most`."""

    first: Decimal
    last: Decimal
    most: Decimal
    width: int

    def x(self, value: Decimal) -> Decimal:
        share = min(Decimal(1), abs(value) / self.most) if self.most else Decimal(0)
        return 5 + share * (self.width - 10)

    @property
    def axis(self) -> str:
        return f"M5 8H{self.width - 5}M5 4v8"

    @property
    def line(self) -> str:
        return f"M{self.before} 8H{self.after}"

    @property
    def before(self) -> str:
        return at(self.x(self.first))

    @property
    def after(self) -> str:
        return at(self.x(self.last))


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    weight: Decimal
    x: str
    width: str
    shade: str


class Strip:
    """Weights side by side in a box 1000 wide; what exceeds the whole is drawn over its right end."""

    def __init__(self, segments: Sequence[tuple[str, Decimal]], limit: Decimal) -> None:
        self.total = sum((weight for _, weight in segments), Decimal(0))
        self.limit = f"M{at(limit * 1000)} 0v20"
        shown = [(label, weight) for label, weight in segments if weight >= SMALLEST]
        if rest := [weight for _, weight in segments if 0 < weight < SMALLEST]:
            shown.append((f"{len(rest)} below 1 %", sum(rest, Decimal(0))))
        self.bars = self._bars(shown)

    def _bars(self, shown: Sequence[tuple[str, Decimal]]) -> list[Bar]:
        bars, left = [], Decimal(0)
        for number, (label, weight) in enumerate(shown):
            shade = "rest" if weight < SMALLEST else "ab"[number % 2]
            bars.append(Bar(label, weight, at(left * 1000), at(weight * 1000), shade))
            left += weight
        if left > 1:
            bars.append(Bar("More than the whole", left - 1, "960.0", "40.0", "over"))
        return bars
