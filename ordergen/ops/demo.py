"""The demo: a synthetic book, one person per role, and one finished rebalance."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from ordergen.accounts.models import User
from ordergen.accounts.roles import Role
from ordergen.accounts.services import user_create
from ordergen.core.errors import ConflictError
from ordergen.core.models import Setting
from ordergen.ops.demo_market import build_demo
from rebalance_app.models import Rebalance
from rebalance_app.runs.report import run_report
from rebalance_app.runs.solve_chunk import solver_close
from rebalance_app.runs.wait import run_by_name

NAMES = {Role.VIEWER: "vera", Role.MANAGER: "maya", Role.APPROVER: "tom", Role.AUDITOR: "aisha", Role.ADMIN: "daniel"}
FIRST_MODEL = "Balanced 20"


@dataclass(frozen=True)
class Demo:
    """What the demo made, and how to get in."""

    password: str
    report: dict[str, Any]


def make_demo() -> Demo:
    """Fills an empty installation; one that holds the demo already is left as it is.

    Raises ConflictError where there is a book of somebody's own: demo data never mixes with it.
    """
    if not User.objects.exists():
        _fill()
    elif not Setting.read("data_label"):
        raise ConflictError(
            "This database holds a book of its own. Set ORDERGEN_HOME or DATABASE_URL to an empty place."
        )
    return Demo(_password_file().read_text(), run_report(Rebalance.objects.earliest("number")))


def _password_file() -> Path:
    return Path(settings.STATE_DIR) / "demo-password"


def _fill() -> None:
    password = _password()
    people = {role: user_create(username=name, password=password, roles=[role]) for role, name in NAMES.items()}
    manager = people[Role.MANAGER]
    build_demo(by=manager)
    run_by_name(by=manager, model=FIRST_MODEL)
    solver_close()  # the workers have their own


def _password() -> str:
    """One password for all five, made anew for every installation, so that no demo is open to who has read this."""
    path = _password_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text("-".join(secrets.token_hex(2) for _ in range(4)))
    return path.read_text()


def signs(demo: Demo, address: str) -> str:
    """What to tell the person at the terminal."""
    people = "\n".join(f"    {name:8} {role.label}" for role, name in NAMES.items())
    kept = f"  Its password and, unless DATABASE_URL says otherwise, its data: {settings.STATE_DIR}\n"
    return f"\n  {address}\n\n  Sign in as one of (password {demo.password}):\n{people}\n\n{kept}"
