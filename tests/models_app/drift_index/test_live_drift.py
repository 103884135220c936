"""How portfolios stand against their models, read in bulk from a real book."""

from decimal import Decimal

import pytest

from models_app.drift_index.live_drift import portfolio_view
from models_app.modelling import services
from models_app.models import Price
from ordergen.core.errors import NotFoundError
from tests.builders import draft, live_views, portfolio, position, security, together


@pytest.fixture
def book(manager):
    """AAA and BBB at 10: one portfolio in band, one over in AAA, one without a price, one without a model."""
    with together():
        made = {"a": security("AAA"), "b": security("BBB"), "x": security("XXX", price=None)}
        made["calm"] = portfolio("Calm", "9000", AAA="50", BBB="50")
        made["over"] = portfolio("Over", "8500", AAA="100", BBB="50")
        made["blind"] = portfolio("Blind", "9000", AAA="50", XXX="7")
        made["free"] = portfolio("Free", "100", AAA="10")
        made["new"] = portfolio("New")
    followers = tuple(made[name].id for name in ("calm", "over", "blind", "new"))
    positions = (position(made["a"].id), position(made["b"].id))
    made["model"] = services.model_create(draft=draft(*positions, portfolios=followers), by=manager)
    return made


def test_each_portfolio_is_in_one_state_and_says_what_uses_most_of_its_band(book):
    views = live_views()
    assert [(view.info.name, view.state) for view in views] == [
        ("Blind", "unpriced"), ("Calm", "in_band"), ("Free", "no_model"), ("New", "unknown"), ("Over", "breach"),
    ]  # fmt: skip
    over = views[-1]
    assert (over.worst.ticker, over.worst.drift.drift, over.band_use) == ("AAA", Decimal("0.05"), Decimal("2.5"))


def test_a_holding_without_a_price_leaves_the_value_open_and_is_never_worth_zero(book):
    view = portfolio_view(book["blind"].id)
    assert view.drift.market_value is None
    assert view.drift.cash_weight is None
    assert [line.ticker for line in view.unpriced] == ["XXX"]
    assert view.worst is None


def test_a_portfolio_without_a_model_has_a_value_and_no_drift(book):
    view = portfolio_view(book["free"].id)
    assert (view.model, view.drift.market_value, view.positions) == (None, Decimal(200), ())


def test_what_is_held_but_not_in_the_model_is_to_be_sold_and_ranks_above_every_band_use(book, manager):
    security("ZZZ", "100")
    stray = portfolio("Stray", "8900", AAA="50", BBB="50", ZZZ="1")
    services.model_portfolios_add(model_id=book["model"].pk, portfolio_ids=[stray.id], by=manager)
    view = portfolio_view(stray.id)
    assert (view.worst.ticker, view.worst.state, view.worst.side, view.worst.n_shares) == (
        "ZZZ", "not_in_model", "SELL", 1,
    )  # fmt: skip
    assert view.band_use == Decimal("Infinity")
    assert view.drift.breaches == 1


def test_cash_below_half_of_what_models_leave_and_overdrawn_cash_are_pointed_out(book, manager):
    poor, negative = portfolio("Poor", "24", AAA="97"), portfolio("Negative", "-1", AAA="100")
    enough = portfolio("Enough", "25", AAA="97.5")
    ids = [poor.id, negative.id, enough.id]
    services.model_portfolios_add(model_id=book["model"].pk, portfolio_ids=ids, by=manager)
    assert portfolio_view(enough.id).low_cash_word == ""
    assert portfolio_view(poor.id).low_cash_word == "low"
    assert portfolio_view(negative.id).low_cash_word == "negative"
    assert portfolio_view(book["calm"].id).low_cash_word == ""


def test_a_model_security_without_a_price_leaves_open_how_a_portfolio_stands(book, manager):
    Price.objects.filter(security=book["b"]).delete()
    view = portfolio_view(book["new"].id)
    assert view.drift.market_value == 0
    fund = portfolio("Fund", "9500", AAA="50")
    services.model_portfolios_add(model_id=book["model"].pk, portfolio_ids=[fund.id], by=manager)
    assert portfolio_view(fund.id).state == "unpriced"


def test_a_portfolio_of_two_models_is_seen_against_each(book, manager):
    second = services.model_create(
        draft=draft(position(book["a"].id, "0.20"), name="Second", portfolios=(book["calm"].id,)), by=manager
    )
    views = [view for view in live_views() if view.info.id == book["calm"].id]
    assert {view.model.name for view in views} == {"Growth", "Second"}
    assert portfolio_view(book["calm"].id).model == second
    assert portfolio_view(book["calm"].id, book["model"].pk).model == book["model"]
    assert {view.model.name for view in live_views(second.pk)} == {"Second"}


def test_an_unknown_portfolio_and_a_model_it_does_not_follow_are_not_found(book):
    for portfolio_id, model_id in (("f" * 24, None), (book["free"].id, book["model"].pk), ("<script>", None)):
        with pytest.raises(NotFoundError):
            portfolio_view(portfolio_id, model_id)


def test_a_portfolio_that_the_book_has_lost_is_left_out_of_the_list(book, manager):
    services.model_portfolios_add(model_id=book["model"].pk, portfolio_ids=["f" * 24], by=manager)
    assert len(live_views(book["model"].pk)) == 4
