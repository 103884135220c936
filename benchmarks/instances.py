"""Seeded problems: the same seed gives the same problem on every machine.

`small(seed)` stays within reach of brute force and mixes every option; `alike(seed)` and `short_of_cash(seed)` have
many equally good answers; `large(spec, seed)` has realistic sizes, `mixed(seed)` mixes every option there, and
`taxed(seed)` has tax lots. `grid()` lists the specifications of the standing benchmark, and `kinds` says what is
special about a problem.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from itertools import pairwise

from models_app.portfolio.types import MODES, Options, Position, RebalanceProblem, TaxLot

D = Decimal


def decimal_between(rng, low, high, places=2):
    """A uniform decimal with that many places."""
    return D(rng.randint(int(low * 10**places), int(high * 10**places))).scaleb(-places)


def half_percents(rng, low, high):
    """A weight that is a multiple of 0.005."""
    return D(rng.randint(low, high)) / 200


def _small_quantity(rng):
    if rng.random() < 0.15:
        return decimal_between(rng, 0, 6, 1)
    return D(rng.choice([0, 0, 1, 2, 3, 5, 8, -1, -2]))


def _small_lots(rng, quantity):
    if quantity <= 0:
        return ()
    first = D(rng.randint(0, int(quantity)))
    return tuple(TaxLot(part, decimal_between(rng, 5, 100)) for part in (first, quantity - first) if part > 0)


def _small_position(rng, name):
    price = decimal_between(rng, 8, 90) if rng.random() < 0.6 else D(rng.choice([10, 20, 25, 50]))
    quantity = _small_quantity(rng)
    in_model = rng.random() < 0.8
    target, low, high = (half_percents(rng, 0, top) if in_model else D(0) for top in (100, 60, 60))
    return Position(
        security_id=name,
        quantity=quantity,
        price=price,
        target=target,
        low_drift=low,
        high_drift=high,
        lot_size=rng.choice([1, 1, 1, 1, 2, 3]),
        can_buy=rng.random() < 0.93,
        can_sell=rng.random() < 0.93,
        lots=_small_lots(rng, quantity),
    )


def small_options(rng):
    """Every option, each with its own probability."""
    floor = decimal_between(rng, 0, 150) if rng.random() < 0.6 else D(0)
    chances = {
        "max_cash": (0.15, lambda: floor + decimal_between(rng, 10, 200)),
        "min_cash_weight": (0.1, lambda: half_percents(rng, 0, 60)),
        "max_cash_weight": (0.05, lambda: half_percents(rng, 60, 160)),
        "min_trade_value": (0.25, lambda: decimal_between(rng, 0, 80)),
        "max_turnover": (0.25, lambda: half_percents(rng, 0, 200)),
        "max_trades": (0.25, lambda: rng.randint(0, 3)),
        "cost_bps": (0.2, lambda: D(rng.randint(0, 200))),
        "ticket_cost": (0.2, lambda: decimal_between(rng, 0, 20)),
        "gain_budget": (0.3, lambda: decimal_between(rng, -20, 60)),
        "soft_bands": (0.2, lambda: True),
        "hold": (0.03, lambda: True),
    }
    chosen = {name: make() for name, (chance, make) in chances.items() if rng.random() < chance}
    mode = rng.choice(MODES) if rng.random() < 0.6 else "to_target"
    return Options(min_cash=floor, mode=mode, **chosen)


def small(seed, *, plain=False):
    """One to three securities worth a few hundred; `plain` leaves out lots, lot sizes and all options but the floor."""
    rng = random.Random(seed)
    positions = [_small_position(rng, f"S{i}") for i in range(rng.randint(1, 3))]
    cash, options = decimal_between(rng, -50, 600), small_options(rng)
    if plain:
        positions = [
            Position(p.security_id, p.quantity, p.price, p.target, p.low_drift, p.high_drift) for p in positions
        ]
        options = Options(min_cash=options.min_cash)
    return RebalanceProblem(f"small-{seed}", cash, tuple(positions), options)


def costly(problem, seed):
    """The problem with trading costs that have to be left above its cash floor."""
    rng = random.Random(f"costly{seed}")
    rates, tickets = rng.choice([(0, 200), (0, 0), (50, 300)]), rng.choice([(0, 20), (0, 0)])
    costs = {"cost_bps": D(rng.randint(*rates)), "ticket_cost": decimal_between(rng, *tickets)}
    return replace(problem, options=replace(problem.options, reserve_costs=True, **costs))


def alike(seed):
    """Two to four securities of one price and one target, under limits that leave many answers equally good."""
    rng = random.Random(f"alike{seed}")
    n, price = rng.randint(2, 4), D(rng.choice([10, 25, 40]))
    held = rng.randint(0, 4)
    target, band = half_percents(rng, 20, 200 // n), half_percents(rng, 10, 40)
    positions = tuple(
        Position(f"S{i}", D(held), price, target, min(band, target), band) for i in rng.sample(range(n), n)
    )
    cash = decimal_between(rng, 20, 200)
    limits = {
        "min_cash": (0.7, lambda: decimal_between(rng, 0, 150)),
        "max_turnover": (0.4, lambda: half_percents(rng, 5, 60)),
        "max_trades": (0.3, lambda: rng.randint(1, n)),
        "min_trade_value": (0.3, lambda: 2 * price),
        "ticket_cost": (0.2, lambda: D(1)),
    }
    options = {name: make() for name, (chance, make) in limits.items() if rng.random() < chance}
    return RebalanceProblem(f"alike-{seed}", cash, positions, Options(**options))


@dataclass(frozen=True)
class Spec:
    """What a realistic instance looks like.

    band     (low, high) drift, the same for every security
    invested sum of the targets; floor: cash floor as a weight, tight when it is near 1 − invested
    prices   "any", "equal", "even" (whole multiples of 2), or "round": 1000, so that with a market value of a million
             targets lie half-way between two whole numbers and bands end exactly on one
    debt     cash is this part of the market value below 0
    """

    securities: int = 100
    market_value: int = 1_000_000
    band: tuple[str, str] = ("0.01", "0.01")
    invested: str = "0.95"
    floor: str = "0"
    prices: str = "any"
    oddities: float = 0.05
    min_trade: str = "0"
    turnover: str | None = None
    debt: str = "0"


def _price(rng, kind):
    if kind in {"equal", "round"}:
        return D(50) if kind == "equal" else D(1000)
    price = D(str(round(rng.lognormvariate(4, 0.8), 2))).quantize(D("0.01"))
    return max(D(2), price // 2 * 2) if kind == "even" else max(D("1.00"), price)


def _targets(rng, n, invested):
    """Weights in steps of 0.0005 that sum to `invested`; 500 securities do not have room for more than a few steps."""
    raw = [rng.expovariate(1) + 0.2 for _ in range(n)]
    total = sum(raw)
    weights = [(D(str(x / total)) * invested * 2000).to_integral_value(ROUND_FLOOR) / 2000 for x in raw]
    for i in range(int((invested - sum(weights)) * 2000)):
        weights[i % n] += D("0.0005")
    return weights


def _held(rng, spec, price, target):
    """Whole shares near the target, and now and then a short, a fraction or nothing."""
    ideal = float(target) * spec.market_value / float(price)
    oddity = rng.random()
    if oddity < spec.oddities / 3:
        return D(-rng.randint(1, 20))
    if oddity < 2 * spec.oddities / 3:
        return decimal_between(rng, 0, max(1.0, ideal), 3)
    return D(int(ideal * rng.uniform(0.6, 1.4)))


def large(spec, seed):
    """A portfolio of realistic size; about one in twenty holdings is outside the model, short or fractional."""
    rng = random.Random(f"{spec}{seed}")
    positions = []
    for i, target in enumerate(_targets(rng, spec.securities, D(spec.invested))):
        price = _price(rng, spec.prices)
        outside = rng.random() < spec.oddities / 2
        weight, (low, high) = (D(0), ("0", "0")) if outside else (target, spec.band)
        quantity = _held(rng, spec, price, target)
        positions.append(Position(f"S{i:04d}", quantity, price, weight, min(D(low), weight), D(high)))
    held = sum(p.quantity * p.price for p in positions)
    cash = (spec.market_value - held).quantize(D("0.01")) if held < spec.market_value else D("0.00")
    cash -= D(spec.debt) * spec.market_value if spec.debt != "0" else 0
    options = Options(
        min_cash_weight=D(spec.floor),
        min_trade_value=D(spec.min_trade),
        max_turnover=None if spec.turnover is None else D(spec.turnover),
    )
    return RebalanceProblem(f"large-{seed}", cash, tuple(positions), options)


def _two_lots(rng, position):
    """Half of the shares bought dearer or cheaper than the other half."""
    if position.quantity <= 0:
        return position
    half = position.quantity // 2
    parts = ((half, ("0.7", "0.9", "1.2")), (position.quantity - half, ("0.8", "1.1")))
    lots = [TaxLot(shares, (position.price * D(rng.choice(costs))).quantize(D("0.01"))) for shares, costs in parts]
    return replace(position, lots=tuple(lot for lot in lots if lot.quantity))


def mixed(seed):
    """Realistic sizes under any mixture of limits, modes and costs."""
    rng = random.Random(f"mixed{seed}")
    bands = (("0.01", "0.01"), ("0.02", "0.02"), ("0.002", "0.02"), ("0.05", "0.05"))
    spec = Spec(
        securities=rng.choice([8, 20, 50, 100]),
        market_value=rng.choice([50_000, 1_000_000, 10_000_000]),
        band=rng.choice(bands),
        floor=rng.choice(["0", "0.05", "0.052", "0.06"]),
        prices=rng.choice(["any", "any", "any", "even", "equal"]),
        min_trade=rng.choice(["0", "0", "500"]),
        turnover=rng.choice([None, None, "0.03", "0.05", "0.08"]),
    )
    chances = {
        "max_trades": (0.25, lambda: rng.choice([5, 20, 50, 80])),
        "cost_bps": (0.25, lambda: D(rng.choice([5, 20]))),
        "ticket_cost": (0.2, lambda: D(rng.choice([1, 10]))),
        "max_cash_weight": (0.2, lambda: D("0.055")),
        "mode": (0.15, lambda: rng.choice(MODES)),
        "soft_bands": (0.15, lambda: True),
        "gain_budget": (0.25, lambda: D(rng.choice([0, 1000, 20_000]))),
    }
    problem = large(spec, seed)
    chosen = {name: make() for name, (chance, make) in chances.items() if rng.random() < chance}
    positions = problem.positions
    if "gain_budget" in chosen:
        positions = tuple(_two_lots(rng, p) for p in positions)
    options = replace(problem.options, **chosen)
    return replace(problem, portfolio_id=f"mixed-{seed}", positions=positions, options=options)


def _lots_of_its_own(rng, position):
    """One to three lots, each bought at half to four thirds of the price."""
    shares, number = int(position.quantity), rng.randint(1, 3)
    ends = [0, *sorted(rng.randint(0, shares) for _ in range(number - 1)), shares]
    parts = [D(b - a) for a, b in pairwise(ends) if b > a]
    costs = [(position.price * decimal_between(rng, 0.5, 1.3, 4)).quantize(D("0.01")) for _ in parts]
    return replace(position, lots=tuple(map(TaxLot, parts, costs)))


def taxed(seed):
    """A hundred securities in lots of their own under a budget for gains, most with a turnover limit or a floor too."""
    rng = random.Random(f"taxed{seed}")
    spec = Spec(
        band=("0.02", "0.02"),
        floor=rng.choice(["0", "0.055"]),
        min_trade=rng.choice(["0", "500"]),
        turnover=rng.choice([None, "0.07"]),
        oddities=0,
    )
    problem = large(spec, seed)
    positions = tuple(_lots_of_its_own(rng, p) for p in problem.positions)
    budget = D(rng.choice([-2000, 0, 1000, 3000, 8000]))
    options = replace(problem.options, gain_budget=budget)
    return replace(problem, portfolio_id=f"taxed-{seed}", positions=positions, options=options)


SHORT_OF_CASH = (  # few enough shares for brute force, and many ways to be short of a target
    Spec(4, 8_000, ("0.04", "0.04"), floor="0.07", oddities=0),
    Spec(4, 8_000, ("0.04", "0.04"), floor="0.07", oddities=0, min_trade="100"),
    Spec(4, 8_000, ("0.05", "0.05"), floor="0.05", oddities=0, turnover="0.04"),
    Spec(4, 8_000, ("0.05", "0.05"), floor="0.06", oddities=0, turnover="0.05", min_trade="60"),
    Spec(5, 4_000, ("0.06", "0.06"), floor="0.08", oddities=0.2, prices="even"),
    Spec(5, 4_000, ("0.06", "0.06"), floor="0.06", oddities=0.2, prices="even", turnover="0.06"),
)


def short_of_cash(seed):
    """Four or five securities, where cash or turnover does not reach and it does not matter whom it leaves out."""
    return large(SHORT_OF_CASH[seed % len(SHORT_OF_CASH)], seed)


def grid() -> Iterator[Spec]:
    """The standing benchmark: sizes, values, bands and floors, each with each, and the awkward prices."""
    bands = (("0.0025", "0.0025"), ("0.01", "0.01"), ("0.05", "0.05"), ("0.002", "0.02"), ("0.02", "0.002"))
    for securities in (5, 20, 50, 100, 500):
        for market_value in (10_000, 100_000, 1_000_000, 50_000_000):
            for band in bands:
                for floor in ("0", "0.05"):
                    yield Spec(securities, market_value, band, floor=floor)
    for prices in ("equal", "even"):
        for floor in ("0", "0.05", "0.06"):
            yield Spec(50, 100_000, prices=prices, floor=floor)
    for floor in ("0", "0.05", "0.06"):
        yield Spec(50, 1_000_000, ("0.002", "0.002"), prices="round", floor=floor)
        yield Spec(100, 1_000_000, floor=floor, debt="0.4")


def _edges(problem, value):
    """Which of the exact coincidences occur: a target half-way between two whole numbers, a band's end on one."""
    for p in problem.positions:
        if p.target and (2 * value * p.target) % p.price == 0 and (value * p.target) % p.price:
            yield "tie at .5"
        if p.high_drift and (value * (p.target + p.high_drift)) % p.price == 0:
            yield "exact edge"
        if p.target and p.price > value * (p.low_drift + p.high_drift):
            yield "single share above the band"


def kinds(problem):
    """What is special about a problem, in the words of the proof."""
    positions, o = problem.positions, problem.options
    value = problem.cash + sum(p.quantity * p.price for p in positions)
    bands = [(p.low_drift, p.high_drift) for p in positions if p.target]
    widths = [low + high for low, high in bands]
    found = {f"{len(positions)} securities", *_edges(problem, value)}
    checks = {
        "narrow bands": any(width <= D("0.005") for width in widths),
        "wide bands": any(width >= D("0.1") for width in widths),
        "asymmetric bands": any(low != high for low, high in bands),
        "tight floor": bool(o.min_cash_weight) and o.min_cash_weight >= 1 - sum(p.target for p in positions),
        "equal prices": len({p.price for p in positions}) < len(positions),
        "short": any(p.quantity < 0 for p in positions),
        "negative cash": problem.cash < 0,
        "fractional holding": any(p.quantity % 1 for p in positions),
        "outside the model": any(p.quantity and not p.target and not p.high_drift for p in positions),
    }
    return found | {name for name, holds in checks.items() if holds}
