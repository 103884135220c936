"""Working a run off here and now, beside whatever workers there are: the command line waits for its run."""

from __future__ import annotations

import time

from models_app.models import InvestmentModel, ModelPortfolio
from models_app.sources import get_source
from ordergen.accounts.models import User
from ordergen.core.errors import InvalidInputError, NotFoundError
from rebalance_app.models import Rebalance
from rebalance_app.runs.launch import rebalance_launch
from rebalance_app.runs.solve_chunk import chunk_solve
from rebalance_app.runs.sweep import sweep


def run_work(run: Rebalance) -> Rebalance:
    """Solves what nobody has claimed and waits for what others have; returns the run as it ended."""
    while True:
        for chunk in sorted(set(run.portfolios.filter(state="queued").values_list("chunk", flat=True))):
            chunk_solve(rebalance_id=run.pk, chunk=chunk)
        run.refresh_from_db()
        if not run.is_active:
            return run
        sweep()  # takes back what a worker lost, our own solver process included
        time.sleep(0.1)


def rebalance_named(*, by: User, model: str | None = None, portfolio: str | None = None) -> Rebalance:
    """Launches a run over a model, or over one portfolio by the model it follows, by name or id, and works it off.

    Raises NotFoundError, InvalidInputError (the portfolio follows several models, or none) and what launching raises.
    """
    if model:
        return run_work(rebalance_launch(by=by, model_id=_model_id(model)))
    portfolio_id = _portfolio_id(portfolio or "")
    followed = list(ModelPortfolio.objects.filter(portfolio_id=portfolio_id).select_related("model"))
    if len(followed) != 1:
        names = ", ".join(sorted(line.model.name for line in followed)) or "no model"
        raise InvalidInputError(f"{portfolio} follows {names}: rebalance it from the page of one model.")
    return run_work(rebalance_launch(by=by, model_id=followed[0].model_id, portfolio_ids=[portfolio_id]))


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
