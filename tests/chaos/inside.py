"""What a test does with a site's rows and messages. Runs in a process of its own that has the site's settings."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

PORTFOLIOS, POOR, PROGRAMMES = 80, 3, 13
CRASH, HANG, KILL = "P020", "P040", "P055"  # of those that need the programme, so that the solver's process has them
TASK = "rebalance.solve_chunk"


def fill() -> dict[str, Any]:
    """A book whose model has portfolios for the closed form, for the programme, and some without an answer.

    Every fifth needs the programme, for its own floor of cash binds; the answers of an undisturbed run come with it.
    """
    from django.core.management import call_command

    from models_app.investment_models.rules import ModelDraft, PositionDraft
    from models_app.modelling.services import model_create
    from models_app.models import Portfolio, Price, Security
    from ordergen.accounts.keys import create_api_key
    from ordergen.accounts.services import user_create
    from rebalance_app.limits.services import limits_set
    from rebalance_app.runs.solve_chunk import solver_close
    from rebalance_app.runs.wait import run_by_name

    call_command("migrate", verbosity=0)
    maya = user_create(username="maya", password="a-long-enough-word", roles=["manager"])
    securities = [Security.objects.create(ticker=f"S{i:02}", name=f"Security {i}") for i in range(20)]
    for i, security in enumerate(securities):
        Price.objects.create(security=security, date="2026-11-20", close=Decimal(567 + 233 * i) / 100)
    positions = [PositionDraft(s.pk, Decimal("0.045"), Decimal("0.02"), Decimal("0.02")) for s in securities]
    cash = [Decimal(100 if i % 30 == 7 else 100_000 + 137 * i) for i in range(PORTFOLIOS)]
    portfolios = [Portfolio.objects.create(name=f"P{i:03}", cash=amount) for i, amount in enumerate(cash)]
    draft = ModelDraft("Many", tuple(positions), tuple(p.pk for p in portfolios))
    model = model_create(draft=draft, by=maya)
    for portfolio in portfolios[::5]:
        limits = {"min_cash_weight": "0.1001"}
        limits_set(by=maya, scope="portfolio", subject_id=portfolio.pk, values=limits, reason="a floor that binds")
    calm = run_by_name(by=maya, model="Many")
    solver_close()
    assert (calm.n_infeasible, calm.portfolios.filter(method="milp").count()) == (POOR, PROGRAMMES)
    _, key = create_api_key(user=maya, name="chaos", scopes=["rebalances:read", "rebalances:write"], days=1)
    ids = {portfolio.name: portfolio.pk for portfolio in portfolios}
    return {"model": model.pk, "key": key, "ids": ids, "calm": answers(calm.pk), "state": calm.state}


def answers(run_id: str) -> dict[str, Any]:
    """By portfolio, how it ended and what it is to trade."""
    from rebalance_app.models import Order, PortfolioRebalance

    orders: dict[str, list[Any]] = {}
    rows = Order.objects.filter(rebalance_id=run_id).order_by("ticker", "pk")
    for name, *order in rows.values_list("portfolio_name", "ticker", "side", "quantity"):
        orders.setdefault(name, []).append(order)
    ended = PortfolioRebalance.objects.filter(rebalance_id=run_id)
    columns = ("portfolio_name", "state", "reason_code", "attempt", "method")
    return {
        name: {"state": state, "reason": reason, "attempt": attempt, "method": method, "orders": orders.get(name, [])}
        for name, state, reason, attempt, method in ended.values_list(*columns)
    }


def launch(model: str, key: str | None = None, portfolios: Sequence[str] | None = None) -> str:
    from ordergen.accounts.models import User
    from rebalance_app.runs.launch import run_launch

    maya = User.objects.get(username="maya")
    return run_launch(by=maya, model_id=model, idempotency_key=key, portfolio_ids=portfolios).pk


def cancel(run_id: str) -> None:
    from ordergen.accounts.models import User
    from rebalance_app.runs.lifecycle import run_cancel

    run_cancel(by=User.objects.get(username="maya"), run_id=run_id)


def retry(run_id: str) -> str:
    from ordergen.accounts.models import User
    from rebalance_app.runs.lifecycle import run_retry

    return run_retry(by=User.objects.get(username="maya"), run_id=run_id).pk


def state(run_id: str) -> dict[str, Any]:
    from rebalance_app.models import OPEN, Rebalance

    run = Rebalance.objects.get(pk=run_id)
    return {"state": run.state, "done": run.n_done, "open": run.portfolios.filter(state__in=OPEN).count()}


def verify() -> dict[str, Any]:
    from ordergen.ops.verify import verify_all

    return verify_all()


def runs() -> list[dict[str, Any]]:
    from rebalance_app.models import Rebalance

    return [{"id": run.pk, "state": run.state} for run in Rebalance.objects.order_by("number")]


def flush() -> int:
    """Takes every message out of the queue, as if the broker had forgotten them; returns how many."""
    from ordergen.celery import app

    with app.connection_for_write() as connection:
        return connection.default_channel.queue_purge("celery") or 0


def repeat(run_id: str, times: int) -> None:
    """Messages for every chunk there is or was, again and again."""
    from rebalance_app.runs.launch import enqueue

    for _ in range(times):
        enqueue(run_id, range(20))


def forge(run_id: str) -> int:
    """Messages that none of our programs sends; returns how many."""
    from ordergen.celery import app

    stranger = "f" * 24
    arguments = [
        (run_id, 999_999), (run_id, -1), (run_id, 1 << 70), (run_id, "0; DROP TABLE"), (run_id, None), (run_id, 0.5),
        (stranger, 0), ("", 0), ("x" * 1_000_000, 0), ({"$ne": 1}, 0), ([run_id], [0]), (None, None), (), (run_id,),
        (run_id, 0, 0), ("\0", 0), ("' OR 1=1 --", 0),
    ]  # fmt: skip
    for given in arguments:
        app.send_task(TASK, given)
    app.send_task(TASK, (), {"rebalance_id": run_id, "chunk": 0, "token": "mine"})
    app.send_task(TASK, (run_id, 0), expires=-60)
    for name in ("os.system", "rebalance.solve_everything", "celery.chord_unlock"):
        app.send_task(name, ("x", "y"))
    return len(arguments) + 5 + _babble(app, run_id)


def _babble(app: Any, run_id: str) -> int:
    """What is no Celery message at all, or in an encoding that workers must not open."""
    import pickle

    bodies = [
        (b"", "application/json"), (b"\xff\xfe\x00", "application/json"), (b"{" * 10_000, "application/json"),
        (b"[[], {}]", "application/json"), (b"null", "application/json"), (b"5", "application/json"),
        (pickle.dumps([[run_id, 0], {}, {}]), "application/x-python-serialize"), (b"what?", "text/plain"),
    ]  # fmt: skip
    with app.connection_for_write() as connection, connection.Producer(exchange="celery", routing_key="celery") as send:
        for body, kind in bodies:
            for headers in ({}, {"task": TASK, "id": "1", "lang": "py"}):
                send.publish(body, content_type=kind, content_encoding="binary", headers=headers)
        app.control.broadcast("shutdown", connection=connection)
    return 2 * len(bodies) + 1


def main() -> None:
    """Calls what each line of standard input names, and answers with a line."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ordergen.settings")
    django.setup()
    from django.db import connection

    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            reply = {"answer": globals()[name](*arguments)}
        except Exception:  # noqa: BLE001  the other side raises it
            reply = {"error": traceback.format_exc()}
        connection.close()  # the server may be another when the next line comes
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
