"""`ordergen migrate`: the tables as this version has them."""

from __future__ import annotations

import argparse

from ordergen.ops.cli.command import Command


def migrate(_options: argparse.Namespace) -> None:
    """Brings the database up to date, without a word."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


COMMAND = Command("migrate", "bring the database up to date", migrate)
