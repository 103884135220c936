from collections import Counter
from datetime import date

import pytest
import time_machine
from django.utils import timezone

from models_app.exports.services import export
from models_app.investment_models import selectors
from models_app.models import Holding, Portfolio, Price, Security
from models_app.portfolio.types import ZERO, Position, RebalanceProblem
from models_app.portfolios.tax_lots import mismatches, shares_in
from models_app.sources import get_source
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import ConflictError, NotAllowedError
from ordergen.core.models import Setting
from ordergen.ops.demo_market import LABEL, WEEKS, build_demo
from rebalance_app.optimiser.solve import solve
from tests.models_app.exports.test_exports import wipe

pytestmark = pytest.mark.django_db


def outcomes(summary):
    """(status, method) of rebalancing every portfolio today, counted by scenario."""
    source = get_source()
    prices = source.latest_prices(source.securities())
    scenario_of = {name: scenario for scenario, names in summary.scenarios.items() for name in names}
    names, found = source.portfolios(), {}
    for row in selectors.model_list():
        for portfolio_id, balance in source.balances(row.draft.portfolios).items():
            targets = {p.security_id: (p.target, p.low_drift, p.high_drift) for p in row.draft.positions}
            keys = {**targets, **balance.quantities}
            positions = tuple(
                Position(
                    key,
                    balance.quantities.get(key, ZERO),
                    prices[key].price if key in prices else None,
                    *targets.get(key, (ZERO, ZERO, ZERO)),
                )
                for key in keys
            )
            answer = solve(RebalanceProblem(portfolio_id, balance.cash, positions))
            counts = found.setdefault(scenario_of[names[portfolio_id].name], Counter())
            counts[answer.status, answer.method] += 1
    return found


@pytest.mark.slow
@time_machine.travel("2026-11-23 12:00Z", tick=False)
def test_every_scenario_of_the_demo_is_what_its_name_says(manager):
    found = outcomes(build_demo(manager))

    assert {status for status, _ in found.pop("infeasible")} == {"infeasible"}
    assert {status for status, _ in found.pop("unpriced")} == {"error"}
    assert set(found.pop("cash floor")) == {("optimal", "milp")}
    unfunded = found.pop("unfunded")
    assert unfunded[("infeasible", None)] + unfunded[("optimal", "separable")] == 1
    for scenario, counts in found.items():
        assert set(counts) == {("optimal", "separable")}, scenario


@time_machine.travel("2026-11-23 12:00Z", tick=False)
def test_the_demo_has_the_size_and_the_variety_that_it_promises(manager):
    summary = build_demo(manager)

    assert (summary.n_securities, summary.n_prices, summary.n_portfolios) == (61, 60 * WEEKS, 120)
    assert (Security.objects.count(), Price.objects.count()) == (61, 60 * WEEKS)
    assert (Portfolio.objects.count(), Holding.objects.count()) == (120, summary.n_holdings)
    gainless = [name for name, wrong in _lots_that_do_not_add_up() if wrong]
    assert gainless == list(summary.scenarios["unpriced"]), "what nobody quotes has no cost either"
    sizes = [row.totals.n_positions for row in selectors.model_list()]
    assert sorted(sizes) == [8, 12, 16, 20, 24, 30, 36, 40]
    assert summary.as_of == date(2026, 11, 23)
    assert Setting.read("data_label") == LABEL
    assert AuditEvent.objects.filter(action="book.demo").count() == 1


def _lots_that_do_not_add_up():
    source = get_source()
    names, lots = source.portfolios(), source.tax_lots(source.portfolios())
    for key, held in source.balances(names).items():
        yield names[key].name, mismatches(held.quantities, shares_in(lots.get(key, {})))


def test_the_same_seed_gives_the_same_book_and_another_seed_another(manager):
    def book(seed):
        build_demo(manager, seed=seed)
        texts = ["".join(export(kind)) for kind in ("portfolios", "holdings", "lots", "models")]
        wipe()
        return texts

    first = book(2026)

    assert book(2026) == first
    assert book(7) != first


@pytest.mark.parametrize("day", ["2026-11-20", "2026-11-21", "2026-11-26", "2027-01-01"])
def test_no_price_is_in_the_future_and_the_latest_is_of_the_last_weekday(manager, day):
    with time_machine.travel(f"{day} 00:30Z", tick=False):
        as_of = build_demo(manager).as_of

        assert 0 <= (timezone.now().date() - as_of).days < 3
    assert as_of.isoweekday() <= 5


def test_the_demo_never_mixes_with_a_book(manager, book):
    with pytest.raises(ConflictError):
        build_demo(manager)


def test_the_demo_needs_who_may_edit_models(viewer):
    with pytest.raises(NotAllowedError):
        build_demo(viewer)

    assert not Security.objects.exists()
