"""`ordergen create-user`: a person who may sign in."""

from __future__ import annotations

import argparse
import sys
from getpass import getpass

from ordergen.ops.cli.command import Command


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("username")
    parser.add_argument("--role", action="append", required=True, dest="roles", metavar="ROLE", help="may be repeated")


def _create_user(options: argparse.Namespace) -> None:
    from ordergen.accounts.services import user_create

    password = getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    user = user_create(username=options.username, password=password, roles=options.roles)
    print(f"created {user.username}: {', '.join(user.roles)}")


COMMAND = Command("create-user", "create a person who may sign in; asks for the password", _create_user, _arguments)
