"""The `ordergen` command. Exit status 0 on success, 1 with one clear line on failure, 2 on wrong usage.

A file per command. All of them are read for the help texts, so each imports what it works with only when it runs:
`ordergen solve` is to answer without Django, and before CVXPY is needed without that too.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from ordergen.ops.cli import (
    create_api_key,
    create_user,
    demo,
    import_file,
    migrate,
    orders,
    people,
    rebalance,
    serve,
    solve,
    sweep,
    verify,
)
from ordergen.ops.cli.command import Command, CommandError

COMMANDS = (
    demo.COMMAND,
    serve.SERVE,
    serve.WEB,
    serve.WORKER,
    sweep.COMMAND,
    migrate.COMMAND,
    import_file.COMMAND,
    rebalance.COMMAND,
    orders.COMMAND,
    solve.COMMAND,
    create_user.COMMAND,
    people.COMMAND,
    create_api_key.COMMAND,
    verify.COMMAND,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        if command.needs_django:
            return _with_django(command, options)
        command.run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_output()  # whoever read us has gone: nobody to tell
        return 1
    except CommandError as error:
        told = str(error)
    except OSError as error:
        _discard_output()
        told = f"{error.filename or 'the output'}: {error.strerror}"
    except Exception as error:  # a defect: one line for whoever asked, its traceback for the log
        from rebalance_app.solving.failures import in_words

        logging.getLogger(__name__).exception("the command failed")
        told = f"the program failed with {in_words(error)}; the log tells where"
    else:
        return 0
    return _fail(told)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ordergen", description="Portfolio rebalancing and order generation.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = subparsers.add_parser(command.name, help=command.text, description=command.text, epilog=command.epilog)
        sub.set_defaults(command=command)
        command.arguments(sub)
        if command.needs_django and command.needs_database:
            sub.add_argument("--migrate", action="store_true", help="bring a database of an earlier version up to date")
    return parser


def _with_django(command: Command, options: argparse.Namespace) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ordergen.settings")
    import django
    from django.apps import apps
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError

    from ordergen.core.db import refusal
    from ordergen.core.errors import OrdergenError
    from ordergen.places import where_state_was_left

    if (told := where_state_was_left()) and "ORDERGEN_HOME" not in os.environ:
        print(f"ordergen: {told}", file=sys.stderr)
    try:
        if not apps.ready:  # a second time would tie our log to what is standard error at this moment, a test's buffer
            django.setup()
        command.check(options)
        if command.needs_database:
            _make_ready(options)
        command.run(options)
    except (OrdergenError, ImproperlyConfigured) as error:
        return _fail(str(error))
    except (DatabaseError, OSError) as error:
        if refused := refusal(error):
            return _fail(refused.message)
        if isinstance(error, OSError):
            raise
        return _fail(f"the database refused: {error}. Is DATABASE_URL right?")
    return 0


def _make_ready(options: argparse.Namespace) -> None:
    from ordergen.ops.database_version import make_ready

    if done := make_ready(may_migrate=options.migrate):
        print(f"ordergen: {done}", file=sys.stderr, flush=True)


def _discard_output() -> None:
    """What is left in the buffer cannot be written; without this Python would try again at the end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    print(f"ordergen: {' '.join(message.split())}", file=sys.stderr)
    return 1
