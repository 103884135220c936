"""What must always hold is held by the program itself: `python -O`, which drops every `assert`, drops none of it."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet
from django.test import RequestFactory

from models_app.portfolio.types import RebalanceSolution
from ordergen.apis.auth import caller
from ordergen.core.db import _execute_many
from ordergen.core.errors import BrokenPromiseError
from rebalance_app.models import Order
from rebalance_app.optimiser.canonical.at_bound import _as_least_trading
from rebalance_app.optimiser.canonical.slack_levels import SlackLevel
from rebalance_app.optimiser.problem.promises import ImpossibleError
from rebalance_app.proposals.document import _after
from rebalance_app.runs.launch import run_launch

ROOT = Path(__file__).parents[3]


def test_no_assert_stands_in_the_product():
    """The rule is ruff's; that it is asked for, and that nothing is excused from it, is this test's."""
    asked = [sys.executable, "-m", "ruff", "check", "--quiet", "--ignore-noqa", "--stdin-filename"]
    roots = [ROOT / name for name in ("ordergen", "models_app", "rebalance_app")]
    rooms = [path.parent for root in roots for path in root.rglob("__init__.py") if "migrations" not in path.parts]
    assert len(rooms) > 30
    for folder in (room.relative_to(ROOT) for room in rooms):
        told = subprocess.run(
            [*asked, f"{folder}/new.py", "-"], cwd=ROOT, input="assert 1\n", capture_output=True, text=True, check=False
        )
        assert "S101" in told.stdout, folder
    product = [path for root in roots for path in root.rglob("*.py")]
    assert [path for path in product if "noqa: S101" in path.read_text()] == []


def test_a_batch_is_not_written_outside_a_transaction(own_connections):
    with pytest.raises(BrokenPromiseError, match="transaction"):
        _execute_many("DELETE FROM models_app_portfolio WHERE id = ?", [["x"]])


def test_an_operation_that_nobody_is_signed_in_for_has_no_caller():
    request = RequestFactory().get("/")
    request.user = AnonymousUser()

    with pytest.raises(BrokenPromiseError):
        caller(request)


def test_a_solution_without_its_cash_becomes_no_proposal():
    with pytest.raises(BrokenPromiseError):
        _after(SimpleNamespace(positions=()), RebalanceSolution("p", "optimal"))


def test_a_level_that_says_neither_what_is_bought_nor_what_is_traded_has_no_answer():
    with pytest.raises(ImpossibleError):
        _as_least_trading(SimpleNamespace(cash=0), {}, SlackLevel(0, None, None, None))


@pytest.mark.django_db
def test_orders_that_somebody_decided_on_while_they_gave_way_undo_the_later_run_s_proposals(
    book,
    manager,
    run_worker,
    monkeypatch,
):
    first = run_worker(run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk]))
    second = run_launch(by=manager, model_id=book.model.pk, portfolio_ids=[book.harbour.pk])
    update = QuerySet.update

    def one_was_decided_on(rows, **values):
        return update(rows, **values) - (rows.model is Order and values == {"state": "superseded"})

    monkeypatch.setattr(QuerySet, "update", one_was_decided_on)
    with pytest.raises(BrokenPromiseError, match="nobody decides meanwhile"):
        run_worker(second)

    assert set(first.orders.values_list("state", flat=True)) == {"proposed"}, "rolled back"
    assert not second.orders.exists()
