"""Limits of run, portfolio, model and security: the narrower holds, and every proposal says which applied."""

from decimal import Decimal

import pytest

from models_app.portfolio.types import Options, ProblemError
from ordergen.audit.models import AuditEvent
from ordergen.core.errors import InvalidInputError, NotAllowedError, NotFoundError
from ordergen.ops.verify import verify_all
from rebalance_app.limits.levels import merged
from rebalance_app.limits.services import limits_now, limits_set
from rebalance_app.proposals import stored as proposals
from rebalance_app.runs import launch
from rebalance_app.runs.launch import run_launch


@pytest.mark.parametrize(
    ("name", "wide", "narrow"),
    [
        ("min_cash", "10", "20"),
        ("max_cash", "500", "400"),
        ("min_cash_weight", "0.01", "0.02"),
        ("max_turnover", "0.5", "0.1"),
        ("min_trade_value", "0", "100"),
        ("max_trades", 9, 3),
        ("gain_budget", "500", "0"),
        ("hold", False, True),
    ],
)
def test_of_two_limits_the_narrower_holds_wherever_it_is_set(name, wide, narrow):
    for outer, inner in (("run", "model"), ("model", "portfolio"), ("portfolio", "run")):
        options, source = merged({outer: {name: wide}, inner: {name: narrow}})

        assert source == {name: inner}
        assert getattr(options, name) == getattr(merged({"run": {name: narrow}})[0], name)


def test_what_cannot_be_narrower_is_decided_by_the_nearest_level():
    options, source = merged({"model": {"cost_bps": "5"}, "portfolio": {"cost_bps": "1"}})

    assert (options.cost_bps, source) == (Decimal(1), {"cost_bps": "portfolio"})


def test_no_limits_are_the_plain_options():
    assert merged({}) == (Options(), {})
    with pytest.raises(ProblemError):
        merged({"model": {"max_trades": True}})


database = pytest.mark.django_db


def _run(book, manager, run_worker, **options):
    return run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk], options=options))


@database
def test_a_portfolio_on_hold_is_not_traded_and_says_on_whose_word(book, manager, run_worker):
    limits_set(by=manager, scope="portfolio", subject_id=book.harbour.pk, values={"hold": True}, reason="estate")
    row = _run(book, manager, run_worker).portfolios.get()

    assert (row.state, row.n_orders) == ("no_trades", 0)
    assert row.document["limits"]["hold"] == {"value": True, "level": "portfolio"}


@database
def test_the_floor_of_the_model_holds_in_a_run_that_asks_for_less(book, manager, run_worker):
    limits_set(by=manager, scope="model", subject_id=book.model.pk, values={"min_cash": "4700"}, reason="mandate")
    row = _run(book, manager, run_worker, min_cash="100").portfolios.get()

    assert row.cash_after >= 4700
    assert row.document["limits"]["min_cash"] == {"value": "4700", "level": "model"}
    assert verify_all()["violations"] == 0


@database
def test_lots_and_restrictions_of_a_security_bind_every_portfolio(book, manager, run_worker):
    limits_set(by=manager, scope="security", subject_id=book.aaa.pk, values={"lot_size": 100}, reason="board lot")
    limits_set(by=manager, scope="security", subject_id=book.bbb.pk, values={"can_buy": False}, reason="restricted")
    limits_set(by=manager, scope="security", subject_id=book.xxx.pk, values={"can_sell": False}, reason="blocked")
    run = _run(book, manager, run_worker)

    assert run.n_infeasible == 1, "25 % of BBB cannot be had without buying it"
    limits_set(by=manager, scope="security", subject_id=book.bbb.pk, values={}, reason="free again")
    limits_set(by=manager, scope="security", subject_id=book.xxx.pk, values={}, reason="free again")
    row = _run(book, manager, run_worker).portfolios.get()
    lines = {line["ticker"]: line for line in proposals.lines(row)}

    assert lines["AAA"]["trade_quantity"] % 100 == 0
    assert row.state == "solved"


@database
def test_limits_are_frozen_with_the_run(book, manager, run_worker):
    run = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk])
    limits_set(by=manager, scope="portfolio", subject_id=book.harbour.pk, values={"hold": True}, reason="later")

    assert run_worker(run).n_orders > 0


@database
def test_every_change_of_a_limit_is_recorded_and_the_last_one_counts(book, manager):
    for floor in ("1", "2"):
        limits_set(
            by=manager, scope="model", subject_id=book.model.pk, values={"min_cash": floor}, reason=f"to {floor}"
        )

    assert limits_now("model", [book.model.pk]) == {book.model.pk: {"min_cash": "2"}}
    assert AuditEvent.objects.filter(action="limits.set").count() == 2


@database
@pytest.mark.parametrize(
    ("scope", "values", "field"),
    [
        ("portfolio", {"min_cash": "NaN"}, "min_cash"),
        ("portfolio", {"max_turnover": "50"}, "max_turnover"),
        ("portfolio", {"mode": "raise_cash"}, "mode"),
        ("portfolio", {"gain_budget": "much"}, "gain_budget"),
        ("model", {"hold": True}, "hold"),
        ("security", {"lot_size": 0}, "lot_size"),
        ("security", {"lot_size": True}, "lot_size"),
        ("security", {"can_buy": "no"}, "can_buy"),
        ("security", {"min_cash": "1"}, "min_cash"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_at_its_field(book, manager, scope, values, field):
    subject = {"portfolio": book.harbour, "model": book.model, "security": book.aaa}[scope]
    with pytest.raises(InvalidInputError) as refused:
        limits_set(by=manager, scope=scope, subject_id=subject.pk, values=values, reason="x")
    assert list(refused.value.fields) == [f"values.{field}"]
    assert limits_now(scope, [subject.pk]) == {}


@database
def test_limits_of_nothing_or_by_nobody_are_refused(book, manager, approver):
    with pytest.raises(NotFoundError):
        limits_set(by=manager, scope="portfolio", subject_id="f" * 24, values={"hold": True}, reason="x")
    with pytest.raises(NotAllowedError):
        limits_set(by=approver, scope="portfolio", subject_id=book.harbour.pk, values={"hold": True}, reason="x")


@database
def test_a_limit_set_while_a_run_is_launched_holds_for_it(book, manager, monkeypatch):
    admit, asked = launch.admit, []

    def set_one_meanwhile(*arguments):
        asked.append(arguments)
        if len(asked) == 2:
            limits_set(by=manager, scope="security", subject_id=book.bbb.pk, values={"can_buy": False}, reason="now")
        admit(*arguments)

    monkeypatch.setattr(launch, "admit", set_one_meanwhile)
    run = run_launch(by=manager, model_id=book.model.pk)

    assert run.limits["securities"] == {book.bbb.pk: {"can_buy": False}}


@pytest.mark.slow
@database
def test_the_nearest_answer_is_told_where_there_is_none_and_makes_no_orders(book, manager, run_worker, client):
    run = run_worker(
        run_launch(
            by=manager,
            model_id=book.model.pk,
            portfolio_ids=[book.tiny.pk],
            options={"nearest": True, "time_limit": 10},
        )
    )
    row = run.portfolios.get()
    client.force_login(manager)
    page = client.get(f"/rebalances/{run.pk}/portfolios/{book.tiny.pk}/").content.decode()

    assert (row.state, run.n_orders) == ("infeasible", 0)
    assert row.document["nearest"]["trades"]
    assert "The nearest answer" in page
