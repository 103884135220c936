"""ordergen on the simulated GlobeCo services, with models and one finished rebalance: `make demo-globeco`.

Its database is kept apart (var/globeco, or ORDERGEN_HOME); the simulator ends with it.
"""

from __future__ import annotations

import argparse
import os
import sys
from decimal import Decimal
from pathlib import Path

from tests.globeco.client import Globeco

MODELS = (
    ("GlobeCo Compact 8", 8, "0.11", 40),
    ("GlobeCo Core 19", 19, "0.05", 40),
    ("GlobeCo Broad 31", 31, "0.03", 40),
)
BAND = Decimal("0.015")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default=os.environ.get("PORT", "8000"))
    options = parser.parse_args()
    globeco = Globeco("--portfolios", "120", "--positions", "30")
    try:
        os.environ |= globeco.urls | {"ORDERGEN_SOURCE": "globeco"}
        os.environ.setdefault("ORDERGEN_HOME", str(Path("var/globeco").resolve()))
        return _serve(globeco, options.port)
    finally:
        globeco.stop()


def _serve(globeco: Globeco, port: str) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ordergen.settings")
    import django

    django.setup()
    from ordergen.ops import cli, demo

    cli.main(["migrate"])
    password = _fill(globeco)
    sys.stdout.write(demo.signs(demo.Demo(password, {}), f"http://127.0.0.1:{port}/"))
    sys.stdout.write(f"  The simulated services: {', '.join(globeco.urls.values())}; control: port {globeco.port}\n\n")
    sys.stdout.flush()
    return cli.main(["serve", "--port", port])


def _fill(globeco: Globeco) -> str:
    """People, models and a rebalance, once; returns everybody's password."""
    from ordergen.accounts.models import User
    from ordergen.accounts.roles import Role
    from ordergen.accounts.services import user_create
    from ordergen.core.models import Setting
    from ordergen.ops import demo
    from rebalance_app.runs.wait import run_by_name

    if User.objects.exists():
        return demo._password_file().read_text()
    password = demo._password()
    people = {role: user_create(username=name, password=password, roles=[role]) for role, name in demo.NAMES.items()}
    Setting.objects.update_or_create(name="data_label", defaults={"value": "Simulated GlobeCo"})
    _models(globeco, people[Role.MANAGER])
    run_by_name(by=people[Role.MANAGER], model=MODELS[1][0])
    return password


def _models(globeco: Globeco, manager: object) -> None:
    from models_app.investment_models.rules import ModelDraft, PositionDraft
    from models_app.modelling.services import model_create

    book = globeco.control("GET", "/book")
    portfolios, securities = list(book["portfolios"]), list(book["securities"])
    for name, n_positions, target, n_portfolios in MODELS:
        own, portfolios = portfolios[:n_portfolios], portfolios[n_portfolios:]
        positions = tuple(PositionDraft(key, Decimal(target), BAND, BAND) for key in securities[:n_positions])
        model_create(draft=ModelDraft(name, positions, tuple(own)), by=manager)


if __name__ == "__main__":
    sys.exit(main())
