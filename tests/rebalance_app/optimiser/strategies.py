"""Small problems as Hypothesis draws and shrinks them: within reach of brute force, with every option."""

from hypothesis import strategies as st

from models_app.portfolio.types import MODES, Options, Position, RebalanceProblem
from tests.rebalance_app.optimiser.build import D


def cents(low, high):
    return st.integers(100 * low, 100 * high).map(lambda n: D(n).scaleb(-2))


def weights(high):
    """Multiples of 0.005 from 0."""
    return st.integers(0, int(200 * high)).map(lambda n: D(n) / 200)


@st.composite
def positions(draw):
    count = draw(st.integers(1, 3))
    prices = st.one_of(st.sampled_from([D(10), D(20), D(25), D(50)]), cents(8, 90))
    found = []
    for name in draw(st.permutations([f"S{i}" for i in range(count)])):
        in_model = draw(st.booleans()) or draw(st.booleans())
        target, low, high = (draw(weights(top)) if in_model else D(0) for top in (0.5, 0.3, 0.3))
        held = draw(st.one_of(st.integers(-3, 8).map(D), st.integers(0, 60).map(lambda n: D(n) / 10)))
        on_order = draw(st.integers(1, max(1, int(held)))) if held >= 1 and draw(st.integers(0, 5)) == 0 else 0
        found.append(
            Position(
                name,
                held,
                draw(prices),
                target,
                low,
                high,
                lot_size=draw(st.sampled_from([1, 1, 2, 3])),
                can_buy=draw(st.integers(0, 9)) > 0,
                can_sell=draw(st.integers(0, 9)) > 0,
                on_order=D(on_order),
            )
        )
    return tuple(found)


@st.composite
def problems(draw):
    """Each option is asked for or not."""
    limits = {
        "min_cash": cents(0, 150),
        "max_cash": cents(150, 400),
        "min_trade_value": cents(0, 80),
        "max_turnover": weights(1),
        "max_trades": st.integers(0, 3),
        "cost_bps": st.integers(0, 200).map(D),
        "ticket_cost": cents(0, 20),
        "reserve_costs": st.just(value=True),
        "soft_bands": st.just(value=True),
        "mode": st.sampled_from(MODES),
    }
    chosen = draw(st.sets(st.sampled_from(sorted(limits)), max_size=5))
    options = Options(**{name: draw(limits[name]) for name in sorted(chosen)})
    return RebalanceProblem("drawn", draw(cents(-50, 600)), draw(positions()), options)
