"""The life of orders, step by step at random: launches, decisions, executions, imports, closings, changed rules.

Beside the book that ordergen knows stands the custodian's, which executes orders and is stated now and then. Whatever
comes in whatever order, nothing is approved that its run's limits or today's rules forbid, or by whoever made it, and
shares held and on order never exceed what was wanted. `make chaos` takes many more and longer walks.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from models_app.drift_index.changed import book_changed
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.investment_models.selectors import model_version
from models_app.modelling.services import model_create, model_update
from models_app.models import Holding, InvestmentModel, ModelPosition, ModelVersion, Portfolio, Price
from models_app.sources import get_source
from ordergen.ops.verify import verify_all
from rebalance_app.closing.fits import fits_confirm, order_fits
from rebalance_app.closing.services import Closing, orders_close
from rebalance_app.limits.services import limits_now, limits_set
from rebalance_app.models import Decision, OpenOrders, Order, Rebalance
from rebalance_app.order_states.on_the_way import on_their_way
from rebalance_app.order_states.table import OPEN_ORDER, bound_quantity
from rebalance_app.orders.decide import order_decide
from rebalance_app.orders.foresee import orders_foresee
from rebalance_app.proposals.run_inputs import inputs_of
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.wait import run_work
from tests.builders import person, portfolio, security, together

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "0"))
PRICES = {"KELP": Decimal(40), "RUNE": Decimal(8), "MOSS": Decimal(120)}
OPTIONS = [{}, {"min_cash": "700"}, {"max_cash": "3000"}, {"max_turnover": "0.4"}, {"min_cash_weight": "0.05"}]
TARGETS = {"KELP": ("0.45", "0.35"), "RUNE": ("0.30", "0.25"), "MOSS": ("0.15", "0.20")}
SIGN = {"BUY": 1, "SELL": -1}
makers = st.sampled_from(["maya", "both"])
people, tickers = st.sampled_from(["tom", "ann", "both"]), st.sampled_from(list(PRICES))


class Life(RuleBasedStateMachine):
    """Two portfolios of one model, one that sells and one with cash; three who may approve, one who launches too."""

    def __init__(self):
        super().__init__()
        self.undone = transaction.atomic()
        self.undone.__enter__()
        self.by = {name: person(name, "approver") for name in ("tom", "ann")}
        self.by |= {"maya": person("maya", "manager"), "both": person("both", "manager", "approver")}
        with together():
            self.securities = {ticker: security(ticker, str(price)) for ticker, price in PRICES.items()}
            self.portfolios = [portfolio("Fell", "0", KELP="1000"), portfolio("Moor", "20000")]
        self.ticker = {made.pk: ticker for ticker, made in self.securities.items()}
        self.prices = dict(PRICES)
        self.cash = {owner.pk: owner.cash for owner in self.portfolios}  # of the custodian, as all below
        self.held = Counter({(self.portfolios[0].pk, "KELP"): 1000})
        self.executed = Counter()
        self.first_held = dict(self.held)

    @initialize(author=makers, by=makers, options=st.sampled_from(OPTIONS))
    def begin(self, author, by, options):
        """There are orders to decide on from the start."""
        band = Decimal("0.03")
        lines = [PositionDraft(self.securities[t].pk, Decimal(w), band, band) for t, (w, _) in TARGETS.items()]
        draft = ModelDraft("Core", tuple(lines), tuple(owner.pk for owner in self.portfolios))
        self.model = model_create(draft=draft, by=self.by[author])
        self.launch(by, options, OpenOrders.NET)

    def teardown(self):
        try:
            assert verify_all()["faults"] == []
        finally:
            transaction.set_rollback(True)
            self.undone.__exit__(None, None, None)

    # What people do.

    @rule(
        by=makers,
        options=st.sampled_from(OPTIONS),
        open_orders=st.sampled_from([OpenOrders.NET, OpenOrders.NET, OpenOrders.IGNORE, OpenOrders.LEAVE_OUT]),
    )
    def launch(self, by, options, open_orders):
        terms = {"by": self.by[by], "model_id": self.model.pk}
        run_work(run_launch(options=options, open_orders=open_orders, **terms))

    @rule(by=people)
    def approve_all(self, by):
        self._approve(by, list(Order.objects.filter(state="proposed").values_list("pk", flat=True)), "I know")

    @rule(data=st.data(), by=people, comment=st.sampled_from(["I know", ""]))
    def approve_some(self, data, by, comment):
        self._approve(by, self._some(data, Order.objects.filter(state="proposed")), comment)

    def _approve(self, by, ids, comment):
        if not ids:
            return
        before = set(Decision.objects.values_list("order_id", flat=True))
        shown = orders_foresee(by=self.by[by], order_ids=ids, verdict="approved")
        decided = order_decide(by=self.by[by], order_ids=ids, verdict="approved", comment=comment)
        if comment or not shown.asks:
            assert decided.n_decided == shown.totals.count
            assert decided.reasons == {left.reason: left.count for left in shown.excluded}
        assert decided.n_decided + decided.n_skipped == len(ids)
        self._check_rules(Order.objects.filter(pk__in=ids, decisions__verdict="approved").exclude(pk__in=before))

    @precondition(lambda self: Order.objects.filter(state__in=("proposed", "approved")).exists())
    @rule(data=st.data(), by=people)
    def reject(self, data, by):
        # What was executed somebody has to close: its approval is not taken back by anybody who knows.
        untouched = [pk for pk, done in self.executed.items() if done]
        ids = self._some(data, Order.objects.filter(state__in=("proposed", "approved")).exclude(pk__in=untouched))
        if ids:
            order_decide(by=self.by[by], order_ids=ids, verdict="rejected", comment="no")

    @precondition(lambda self: Order.objects.filter(state__in=OPEN_ORDER).exists())
    @rule(data=st.data(), outcome=st.sampled_from(["closed", "cancelled", "lapsed"]))
    def close(self, data, outcome):
        for key in self._some(data, Order.objects.filter(state__in=OPEN_ORDER)):
            done, quantity = self.executed[key], Order.objects.get(pk=key).quantity
            truly = "closed" if done == quantity else outcome if done else "cancelled"
            orders_close(by=self.by["tom"], closings=[Closing(key, truly, done)], reason="as executed")

    @rule()
    def confirm_what_holdings_show(self):
        fits_confirm(by=self.by["tom"], seen=order_fits().seen)

    # What the world does.

    @precondition(lambda self: Order.objects.filter(state__in=OPEN_ORDER).exists())
    @rule(data=st.data(), part=st.sampled_from([Decimal(1), Decimal("0.5")]))
    def execute(self, data, part):
        for key in self._some(data, Order.objects.filter(state__in=OPEN_ORDER)):
            order = Order.objects.get(pk=key)
            shares = int((order.quantity - self.executed[key]) * part)
            self.executed[key] += shares
            self.held[order.portfolio_id, order.ticker] += SIGN[order.side] * shares
            self.cash[order.portfolio_id] -= SIGN[order.side] * shares * self.prices[order.ticker]

    @rule(which=st.sampled_from([0, 1]))
    def state_holdings(self, which):
        owner = self.portfolios[which].pk
        Portfolio.objects.filter(pk=owner).update(
            cash=self.cash[owner], holdings_stated_at=timezone.now(), cash_stated_at=timezone.now()
        )
        for ticker, made in self.securities.items():
            quantity = {"quantity": self.held[owner, ticker]}
            Holding.objects.update_or_create(portfolio_id=owner, security=made, defaults=quantity)
        book_changed([owner])

    @rule(ticker=tickers, factor=st.sampled_from(["0.75", "0.96", "1", "1.03", "1.1"]))
    def price(self, ticker, factor):
        self.prices[ticker] = (PRICES[ticker] * Decimal(factor)).quantize(Decimal("0.01"))
        Price.objects.filter(security=self.securities[ticker]).update(close=self.prices[ticker])
        book_changed()

    @rule(by=makers, ticker=tickers, which=st.sampled_from([0, 1]))
    def change_the_model(self, by, ticker, which):
        now = InvestmentModel.objects.get(pk=self.model.pk)
        _, draft = model_version(now.pk, now.version)
        key, target = self.securities[ticker].pk, Decimal(TARGETS[ticker][which])
        lines = tuple(replace(one, target=target) if one.security_id == key else one for one in draft.positions)
        if sum(one.target for one in lines) <= Decimal("0.95"):
            model_update(model_id=now.pk, version=now.version, draft=replace(draft, positions=lines), by=self.by[by])

    @rule(ticker=tickers, values=st.sampled_from([{}, {"can_buy": False}, {"can_sell": False}, {"lot_size": 5}]))
    def restrict(self, ticker, values):
        subject = self.securities[ticker].pk
        limits_set(by=self.by["maya"], scope="security", subject_id=subject, values=values, reason="compliance")

    @rule(which=st.sampled_from([0, 1]), values=st.sampled_from([{}, {}, {"hold": True}]))
    def hold(self, which, values):
        subject = self.portfolios[which].pk
        limits_set(by=self.by["maya"], scope="portfolio", subject_id=subject, values=values, reason="transfer")

    # What must hold.

    @invariant()
    def nobody_approves_what_they_made(self):
        approvals = Decision.objects.filter(verdict="approved")
        assert not approvals.filter(decided_by=F("order__rebalance__launched_by")).exists()
        for decision in approvals.select_related("order__rebalance"):
            run = decision.order.rebalance
            version = ModelVersion.objects.get(model_id=run.model_id, version=run.model_version)
            assert version.saved_by_id != decision.decided_by_id

    @invariant()
    def no_more_is_held_and_on_order_than_was_wanted(self):
        wanted = {key: [quantity] for key, quantity in self.first_held.items()}
        to_be = Counter(self.held)
        for order in Order.objects.filter(decisions__verdict="approved"):
            key = (order.portfolio_id, order.ticker)
            wanted.setdefault(key, [0]).append(int(order.quantity_before) + SIGN[order.side] * order.quantity)
            if order.state in OPEN_ORDER:
                to_be[key] += SIGN[order.side] * (order.quantity - self.executed[order.pk])
        for key, quantity in to_be.items():
            assert min(wanted.get(key, [0])) <= quantity <= max(wanted.get(key, [0])), (key, quantity, wanted.get(key))

    @invariant()
    def counters_count(self):
        for run in Rebalance.objects.all():
            assert run.n_approved == run.orders.filter(state__in=OPEN_ORDER).count()
            assert run.n_outdated == run.orders.filter(state="outdated").count()

    def _some(self, data, orders):
        ids = list(orders.order_by("pk").values_list("pk", flat=True))
        return data.draw(st.lists(st.sampled_from(ids), unique=True, min_size=1)) if ids else []

    def _check_rules(self, approved):
        """What was approved just now, against rules written down here anew."""
        limits = limits_now("security", self.ticker)
        held = limits_now("portfolio", [owner.pk for owner in self.portfolios])
        lines = {one.security_id: one for one in ModelPosition.objects.filter(model=self.model)}
        for order in approved.distinct():
            line, then = lines[order.security_id], inputs_of(order.rebalance_id).targets[order.security_id]
            assert (line.target, line.low_drift, line.high_drift) == then
            assert limits.get(order.security_id, {}).get(f"can_{order.side.lower()}", True)
            assert not held.get(order.portfolio_id, {}).get("hold")
            assert abs(self.prices[order.ticker] - order.price) <= order.price * Decimal("0.2")
            self._check_money(order)

    def _check_money(self, order):
        """Cash as the book has it, with everything on its way to the portfolio, whichever proposal it is of."""
        owned = get_source().balances([order.portfolio_id])[order.portfolio_id]
        coming = on_their_way({order.portfolio_id: owned}).get(order.portfolio_id, [])
        assert not any(one.is_unclear for one in coming if one.order.proposal_id != order.proposal_id)
        if any(one.is_unclear for one in coming):
            return  # how much of its own proposal is in the cash is not known; it is counted with care
        cash, value = owned.cash, owned.cash
        for key, quantity in owned.quantities.items():
            value += quantity * self.prices[self.ticker[key]]
        for one in coming:
            cash -= SIGN[one.order.side] * one.shares * self.prices[one.order.ticker]
        options, _ = inputs_of(order.rebalance_id).options_of(order.portfolio_id)
        if order.side == "BUY":
            assert cash >= max(options.min_cash, options.min_cash_weight * value)
        elif options.max_cash is not None:
            assert cash <= options.max_cash
        if options.max_turnover is not None:
            part = [one for one in Order.objects.filter(proposal=order.proposal_id) if bound_quantity(one)]
            traded = sum(bound_quantity(one) * self.prices[one.ticker] for one in part)
            assert traded <= 2 * options.max_turnover * value


@pytest.mark.django_db
def test_a_life_of_orders_keeps_every_rule():
    usual = settings(
        max_examples=150 * ROUNDS if ROUNDS else 60,
        stateful_step_count=30 if ROUNDS else 12,
        derandomize=not ROUNDS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Life, settings=usual)
