"""`ordergen create-api-key`: a key for programs, on standard output, and what it is on standard error."""

from __future__ import annotations

import argparse
import sys

from ordergen.ops.cli.command import Command, CommandError, person


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("username", help="whose permissions it has")
    parser.add_argument("name", help="what it is for")
    parser.add_argument(
        "--scope", action="append", required=True, dest="scopes", metavar="SCOPE", help="may be repeated"
    )
    parser.add_argument("--days", type=int, default=90, help="until it expires (default: 90)")


def _create_api_key(options: argparse.Namespace) -> None:
    from ordergen.accounts.keys import create_api_key
    from ordergen.core.errors import InvalidInputError

    owner = person(options.username)
    try:
        key, plain = create_api_key(user=owner, name=options.name, scopes=options.scopes, days=options.days)
    except InvalidInputError as error:
        raise CommandError(" ".join(error.fields.values())) from error
    print(plain)
    scopes = ", ".join(key.scopes)
    print(f"{key.name} of {options.username}, until {key.expires_at:%Y-%m-%d}: {scopes}", file=sys.stderr)


COMMAND = Command(
    "create-api-key",
    "create a key for programs; it is printed once and kept nowhere",
    _create_api_key,
    _arguments,
)
