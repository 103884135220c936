"""Orders on their way, for tests: approved by a second person, and perhaps stated anew since."""

from django.utils import timezone

from models_app.models import Portfolio
from ordergen.accounts.models import User
from rebalance_app.models import Order, Rebalance
from rebalance_app.orders.decide import order_decide


def approve(run: Rebalance, by: User, portfolio: str, *tickers: str) -> list[Order]:
    """Approves a portfolio's orders in these securities, or all of them; returns them as they are then, by ticker."""
    orders = run.orders.filter(portfolio_name=portfolio).order_by("ticker")
    chosen = orders.filter(ticker__in=tickers) if tickers else orders
    decided = order_decide(by=by, order_ids=[order.pk for order in chosen], verdict="approved")
    assert decided.n_decided == len(chosen), decided.reasons
    return list(chosen.all())


def state_anew(*portfolios: Portfolio) -> None:
    """Somebody says what these own, as an import does, and nobody what became of their orders."""
    Portfolio.objects.filter(pk__in=[portfolio.pk for portfolio in portfolios]).update(
        holdings_stated_at=timezone.now(), cash_stated_at=timezone.now()
    )
