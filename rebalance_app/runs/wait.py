"""Waiting for a run: beside the workers, for callers of API v1; the command line works it off itself meanwhile."""

from __future__ import annotations

import threading
import time

from django.conf import settings

from models_app.models import InvestmentModel, ModelPortfolio
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.core.errors import InvalidInputError, NotFoundError
from rebalance_app.models import OpenOrders, Rebalance
from rebalance_app.proposals.selectors import LONG
from rebalance_app.runs.launch import run_launch
from rebalance_app.runs.solve_chunk import chunk_solve
from rebalance_app.runs.sweep import sweep

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds: small runs end at once, long ones are not asked after too often
# Each waits on a thread of the web server: a quarter of them is left for pages.
_places = threading.BoundedSemaphore(settings.WEB_THREADS * 3 // 4)


def run_wait(*, run_id: str, seconds: float) -> Rebalance:
    """The run as soon as it has ended, or as it is after `seconds`; as it is now, where too many wait already."""
    if not _places.acquire(blocking=False):
        return _run(run_id)
    try:
        return _wait(run_id, time.monotonic() + seconds)
    finally:
        _places.release()


def _wait(run_id: str, deadline: float) -> Rebalance:
    pause = _FIRST_PAUSE
    while True:
        run = _run(run_id)
        left = deadline - time.monotonic()
        if not run.is_active or left <= 0:
            return run
        _sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _run(run_id: str) -> Rebalance:
    return Rebalance.objects.defer(*LONG).get(pk=run_id)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def run_work(run: Rebalance) -> Rebalance:
    """Solves here and now what nobody has claimed and waits for what others have; returns the run as it ended."""
    while True:
        for chunk in sorted(set(run.portfolios.filter(state="queued").values_list("chunk", flat=True))):
            chunk_solve(run_id=run.pk, chunk=chunk)
        run.refresh_from_db()
        if not run.is_active:
            return run
        sweep()  # takes back what a worker lost, our own solver process included
        time.sleep(0.1)


def run_by_name(
    *, by: User, model: str | None = None, portfolio: str | None = None, open_orders: OpenOrders = OpenOrders.NET
) -> Rebalance:
    """Launches a run over a model, or over one portfolio by the model it follows, by name or id, and works it off.

    Raises NotFoundError, InvalidInputError (the portfolio follows several models, or none) and what launching raises.
    """
    if model:
        return run_work(run_launch(by=by, model_id=_model_id(model), open_orders=open_orders))
    portfolio_id = _portfolio_id(portfolio or "")
    followed = list(ModelPortfolio.objects.filter(portfolio_id=portfolio_id).select_related("model"))
    if len(followed) != 1:
        names = ", ".join(sorted(line.model.name for line in followed)) or "no model"
        raise InvalidInputError(f"{portfolio} follows {names}: rebalance it from the page of one model.")
    model_id = followed[0].model_id
    return run_work(run_launch(by=by, model_id=model_id, portfolio_ids=[portfolio_id], open_orders=open_orders))


def _model_id(name_or_id: str) -> str:
    found = InvestmentModel.objects.filter(name=name_or_id) or InvestmentModel.objects.filter(pk=name_or_id)
    if not found:
        raise NotFoundError(f"No model is called {name_or_id}.")
    return found[0].pk


def _portfolio_id(name_or_id: str) -> str:
    source = get_source()
    if name_or_id in source.portfolios([name_or_id]):
        return name_or_id
    exact = [found.id for found in source.find_portfolios(name_or_id) if found.name == name_or_id]
    if len(exact) != 1:
        raise NotFoundError(f"No portfolio is called {name_or_id}." if not exact else f"{len(exact)} are called so.")
    return exact[0]
