"""`ordergen migrate`: the tables as this version has them."""

from __future__ import annotations

import argparse

from ordergen.ops.cli.command import Command


def _migrate(_options: argparse.Namespace) -> None:
    from ordergen.ops.database_version import migrate

    migrate()


COMMAND = Command("migrate", "bring the database up to date", _migrate, needs_database=False)
