"""The smallest book and models that a test needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal

from models_app.drift_index.changed import book_changed
from models_app.drift_index.live_drift import PortfolioView, portfolio_view
from models_app.drift_index.read import rows_of
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.models import Holding, Portfolio, Price, Security
from ordergen.accounts.models import User
from ordergen.core.db import atomic

DAY = "2026-11-20"
_together: ContextVar[bool] = ContextVar("together", default=False)


@contextmanager
def together() -> Iterator[None]:
    """Whatever is built within is one change of the book, as an import is, and its figures are computed once."""
    token = _together.set(True)
    try:
        yield
    finally:
        _together.reset(token)
    _tell()


def _tell(*portfolio_ids: str) -> None:
    if not _together.get():
        with atomic():
            book_changed(portfolio_ids or None)


def person(name: str, *roles: str) -> User:
    user = User(username=name, roles=list(roles))
    user.set_unusable_password()
    user.save()
    return user


def security(ticker: str, price: str | None = "10", name: str = "") -> Security:
    made = Security.objects.create(ticker=ticker, name=name or f"{ticker} Corporation")
    if price is not None:
        Price.objects.create(security=made, date=DAY, close=Decimal(price))
    _tell()
    return made


def price_now(of: Security, close: str, date: str = "2026-11-23") -> None:
    """A newer price."""
    Price.objects.update_or_create(security=of, date=date, defaults={"close": Decimal(close)})
    _tell()


def portfolio(name: str, cash: str = "0", **shares: str) -> Portfolio:
    """portfolio("Smith", "100", AAA="5") holds 5 of the security with ticker AAA."""
    made = Portfolio.objects.create(name=name, cash=Decimal(cash))
    for ticker, quantity in shares.items():
        Holding.objects.create(portfolio=made, security=Security.objects.get(ticker=ticker), quantity=Decimal(quantity))
    _tell(made.pk)
    return made


def live_views(model_id: str = "") -> list[PortfolioView]:
    """Every portfolio of the book, or of a model, as its own page shows it against each model it follows."""
    pairs = rows_of(model_id).order_by("portfolio_key").values_list("portfolio_id", "model_id")
    return [portfolio_view(key, model or None) for key, model in pairs]


def position(security_id: str, target: str = "0.05", low: str = "0.01", high: str = "0.02") -> PositionDraft:
    return PositionDraft(security_id, Decimal(target), Decimal(low), Decimal(high))


def draft(*positions: PositionDraft, name: str = "Growth", portfolios: tuple[str, ...] = ("a" * 24,)) -> ModelDraft:
    return ModelDraft(name, positions, portfolios)
