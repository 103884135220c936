"""Launching a run: freeze the prices, write what is to be done, tell the workers."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from kombu.exceptions import OperationalError

from models_app.investment_models.selectors import model_get
from models_app.models import InvestmentModel
from models_app.sources import get_source
from models_app.sources.book_source import BookSource
from ordergen.accounts.models import User
from ordergen.audit.services import record, recorded
from ordergen.core.db import bulk_insert
from ordergen.core.errors import Code, ConflictError, InvalidInputError
from ordergen.core.ids import object_id
from rebalance_app.models import OPEN, OpenOrders, PortfolioRebalance, Rebalance
from rebalance_app.runs.backlog import admit
from rebalance_app.solving.freeze import checked_options, limits_in_force, prices_now

logger = logging.getLogger(__name__)
SOLVE_CHUNK = "rebalance.solve_chunk"  # the task, by its name: tasks.py stands above, and imports what solves
SMALLEST_CHUNK, FAIR_CHUNKS = 25, 8
ROW = (
    "id", "rebalance", "portfolio_id", "portfolio_name", "chunk", "state", "attempt", "token", "enqueued_at",
    "reason_code", "reason", "method", "n_orders", "buy_value", "sell_value", "largest_order",
)  # fmt: skip


def run_launch(  # noqa: PLR0913  what somebody says at a launch
    *,
    by: User,
    model_id: str,
    portfolio_ids: Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
    note: str = "",
    open_orders: OpenOrders = OpenOrders.NET,
    idempotency_key: str | None = None,
    reserve_costs: bool = True,
) -> Rebalance:
    """Starts a run over the portfolios of a model, or over some of them, at the prices known now.

    `open_orders` says what is done about orders of earlier runs that are on their way to these portfolios.
    Where `options` do not say so themselves, `reserve_costs` says whether costs are kept above the cash floor.
    The same `idempotency_key` with the same request gives the run it gave before, and starts nothing.

    Raises NotAllowedError, NotFoundError (model), InvalidInputError (an option, an unknown or foreign portfolio, a
    model with nothing to buy or to price) and ConflictError (the key was used for something else; a portfolio is being
    rebalanced already; the model was changed meanwhile), and what `admit` raises. Nothing is written then.
    """
    by.must("rebalance.launch")
    request = {
        "model": model_id,
        "portfolios": sorted(portfolio_ids or []),
        "options": dict(options or {}),
        "note": note,
        "by": by.pk,
    }
    if open_orders == OpenOrders.LEAVE_OUT:  # what people choose; the others are what a door promises
        request["open_orders"] = open_orders.value
    key = _scoped(idempotency_key, by)
    if earlier := _earlier_run(key, request):
        return earlier
    admit(by)
    model = model_get(model_id)
    source = get_source()
    names = _portfolio_names(model, portfolio_ids, source)
    given = checked_options(options, reserve_costs=reserve_costs)
    snapshot = prices_now(source, model)
    with recorded():
        if earlier := _earlier_run(key, request):
            return earlier
        admit(by, len(names))
        _refuse_changed(model)
        _refuse_running(names)
        limits = limits_in_force(model, names, snapshot)  # here, where nobody sets one meanwhile
        snapshot.save(force_insert=True)
        run = Rebalance.objects.create(
            number=(Rebalance.objects.aggregate(last=Max("number"))["last"] or 0) + 1,
            model_id=model.pk,
            model_name=model.name,
            model_version=model.version,
            snapshot=snapshot,
            options=given,
            limits=limits,
            open_orders=open_orders,
            request_hash=_hash(request),
            note=note,
            launched_by=by,
            launched_at=timezone.now(),
            idempotency_key=key,
            n_portfolios=len(names),
        )
        chunks = _write_rows(run, names)
        record(
            "rebalance.launched",
            run,
            f"Run #{run.number} of {model} over {_counted(len(names), is_all=portfolio_ids is None)}",
            by=by,
            detail=request | {"prices_sha256": snapshot.sha256},
        )
        # The run is launched, whatever becomes of a hint: what goes wrong there is logged, and the sweeper sees to it.
        transaction.on_commit(lambda: enqueue(run.pk, range(chunks)), robust=True)
    return run


def is_repeated(idempotency_key: str | None, by: User) -> bool:
    """Whether this person launched a run under the key before."""
    key = _scoped(idempotency_key, by)
    return key is not None and Rebalance.objects.filter(idempotency_key=key).exists()


def enqueue(run_id: str, chunks: Iterable[int]) -> bool:
    """Tells the workers about chunks; False when the broker is down. The rows wait, and the sweeper sees to them."""
    for chunk in chunks:
        try:
            current_app.send_task(SOLVE_CHUNK, (run_id, chunk))
        except (OperationalError, OSError) as error:
            logger.warning("broker unreachable, run %s waits for the sweeper: %s", run_id, error)
            return False
    return True


def _counted(n_portfolios: int, *, is_all: bool) -> str:
    if n_portfolios == 1:
        return "its only portfolio" if is_all else "1 portfolio"
    return f"{'all ' if is_all else ''}{n_portfolios} portfolios"


def _scoped(idempotency_key: str | None, by: User) -> str | None:
    """Keys are each person's own: a stranger's key neither hides nor reveals a run."""
    return hashlib.sha256(f"{by.pk}:{idempotency_key}".encode()).hexdigest() if idempotency_key else None


def _hash(request: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()


def _earlier_run(key: str | None, request: Mapping[str, Any]) -> Rebalance | None:
    run = Rebalance.objects.filter(idempotency_key=key).first() if key else None
    if run and run.request_hash != _hash(request):
        message = f"This idempotency key already started run #{run.number} with other content."
        raise ConflictError(message, code=Code.IDEMPOTENCY_KEY_REUSED)
    return run


def _portfolio_names(model: InvestmentModel, chosen: Sequence[str] | None, source: BookSource) -> dict[str, str]:
    """Names by id of the portfolios to rebalance, in the order of their names."""
    subscribed = set(model.portfolios.values_list("portfolio_id", flat=True))
    if foreign := set(chosen or ()) - subscribed:
        raise InvalidInputError(
            f"{len(foreign)} of the portfolios do not follow {model.name}.",
            fields={"portfolio_ids": f"not subscribed to {model.name}: {', '.join(sorted(foreign)[:5])}"},
        )
    wanted = subscribed if chosen is None else set(chosen)
    if not wanted:
        raise InvalidInputError(f"No portfolio follows {model.name}: subscribe one first.")
    known = source.portfolios(wanted)
    names = {key: info.name for key, info in known.items()}
    return names | {key: key for key in sorted(wanted - names.keys())}


def _refuse_changed(model: InvestmentModel) -> None:
    """The run is to have the targets and the portfolios of one version."""
    if not InvestmentModel.objects.filter(pk=model.pk, version=model.version).exists():
        message = f"{model.name} was changed at this moment: look at it again."
        raise ConflictError(message, code=Code.CHANGED_MEANWHILE)


def _refuse_running(names: Mapping[str, str]) -> None:
    """A portfolio is in one open run at a time, or two proposals would spend the same cash."""
    open_rows = PortfolioRebalance.objects.filter(state__in=OPEN).order_by()
    busy = dict(open_rows.values_list("portfolio_id", "rebalance__number"))
    if taken := [key for key in names if key in busy]:
        raise ConflictError(
            f"{names[taken[0]]} is being rebalanced by run #{busy[taken[0]]}"
            + (f", and {len(taken) - 1} more are too" if len(taken) > 1 else "")
            + ". Wait for it to end, or cancel it.",
            code=Code.PORTFOLIO_BUSY,
        )


def _write_rows(run: Rebalance, names: Mapping[str, str]) -> int:
    """One queued row per portfolio; returns the number of chunks."""
    now = timezone.now()
    size = chunk_size(len(names))
    rows = (
        (object_id(), run.pk, key, name, at // size, "queued", 0, "", now, "", "", "", 0, 0, 0, 0)
        for at, (key, name) in enumerate(names.items())
    )
    bulk_insert(PortfolioRebalance, ROW, rows)
    return -(-len(names) // size)


def chunk_size(n_portfolios: int) -> int:
    """Portfolios per task: enough chunks to keep several workers busy, but none so small that its commits weigh."""
    fair = -(-n_portfolios // FAIR_CHUNKS)
    return min(int(settings.CHUNK_SIZE), max(fair, SMALLEST_CHUNK))
