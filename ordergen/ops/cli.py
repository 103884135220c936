"""The `ordergen` command. Exit status 0 on success, 1 with one clear line on failure, 2 on wrong usage."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any


class CommandError(Exception):
    """What went wrong, in one line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        if options.needs_django:
            return _with_django(command, options)
        command(options)
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


def _discard_output() -> None:
    """What is left in the buffer cannot be written; without this Python would try again at the end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    print(f"ordergen: {' '.join(message.split())}", file=sys.stderr)
    return 1


def _with_django(command: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ordergen.settings")
    import django
    from django.apps import apps
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError

    from ordergen.core.errors import OrdergenError

    try:
        if not apps.ready:  # a second time would tie our log to what is standard error at this moment, a test's buffer
            django.setup()
        command(options)
    except (OrdergenError, ImproperlyConfigured) as error:
        return _fail(str(error))
    except DatabaseError as error:
        return _fail(f"the database refused: {error}. Is DATABASE_URL right, and was `ordergen migrate` run?")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ordergen", description="Portfolio rebalancing and order generation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], text: str, *, needs_django: bool = True) -> Any:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command, needs_django=needs_django)
        return sub

    demo = add("demo", demo_command, "make a demo book, rebalance one model, then serve it")
    demo.add_argument("--once", action="store_true", help="do not serve: print what was proposed, and end")
    demo.add_argument("--json", action="store_true", help="with --once: one JSON document on standard output")
    _listens(demo)
    _listens(add("serve", serve_command, "web server, worker and sweeper under one supervisor"))
    _listens(add("web", web_command_, "the web server alone"))
    add("worker", worker_command_, "a worker and a sweeper, for as many machines as needed")
    sweep = add("sweep", sweep_command_, "queue again what lost its worker, refresh figures that nobody does")
    sweep.add_argument("--forever", action="store_true", help="again and again, until stopped")
    add("migrate", migrate_command, "bring the database up to date")
    imports = add("import", import_command, "import a CSV file: all of it or nothing")
    imports.epilog = "The columns of each kind, with an example: under Import, /import/KIND/."
    imports.add_argument("kind", choices=["securities", "prices", "portfolios", "holdings", "lots", "models"])
    imports.add_argument("file", type=Path)
    imports.add_argument("--as", dest="user", metavar="USERNAME", help="who imports; else the only portfolio manager")
    imports.add_argument("--dry-run", action="store_true", help="only say what would change")
    rebalance = add("rebalance", rebalance_command, "rebalance a model or a portfolio and wait for the proposals")
    what = rebalance.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="NAME_OR_ID")
    what.add_argument("--portfolio", metavar="NAME_OR_ID")
    rebalance.add_argument("--as", dest="user", metavar="USERNAME")
    rebalance.add_argument("--json", action="store_true")
    solve = add("solve", solve_command, "solve problems given as JSON lines; needs no database", needs_django=False)
    solve.epilog = (
        "Every field of a problem and of its options, and an example: under Help, /help/problems/. "
        "Exit status 1 where a line is not a problem; whether a problem has an answer, the status in its line says."
    )
    solve.add_argument("file", nargs="?", type=Path, help="standard input when left out")
    solve.add_argument("--for-worker", action="store_true", help=argparse.SUPPRESS)  # in the words of solver_protocol
    user = add("create-user", create_user_command, "create a person who may sign in; asks for the password")
    user.add_argument("username")
    user.add_argument("--role", action="append", required=True, dest="roles", metavar="ROLE", help="may be repeated")
    key = add(
        "create-api-key", create_api_key_command, "create a key for programs; it is printed once and kept nowhere"
    )
    key.add_argument("username", help="whose permissions it has")
    key.add_argument("name", help="what it is for")
    key.add_argument("--scope", action="append", required=True, dest="scopes", metavar="SCOPE", help="may be repeated")
    key.add_argument("--days", type=int, default=90, help="until it expires (default: 90)")
    verify = add("verify", verify_command, "check the audit chain and the invariants of runs; prints counts as JSON")
    verify.add_argument("--json", action="store_true", help="what it prints anyway")
    return parser


def _listens(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=os.environ.get("PORT", "8000"))


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text[:6]) < 65536):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no port: 1 to 65535")
    return int(text)


def _must_be_free(options: argparse.Namespace) -> None:
    """Says at once that nothing can listen there; else the web server would die again and again before saying so."""
    import socket

    try:
        socket.create_server((options.host, options.port)).close()
    except OSError as error:
        raise CommandError(f"cannot listen on {options.host}:{options.port}: {error.strerror}") from error


def _must_be_migrated() -> None:
    """Says at once what is missing; else each page and each sweep would say that a table is not there."""
    from django.db import OperationalError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        is_behind = bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except OperationalError:  # not up yet: the processes wait for it
        return
    finally:
        connection.close()
    if is_behind:
        raise CommandError("the database is empty or of an earlier version: run `ordergen migrate` first, once")


def migrate_command(_options: argparse.Namespace) -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def serve_command(options: argparse.Namespace) -> None:
    from ordergen.ops import supervisor

    _must_be_free(options)
    migrate_command(options)
    print(f"ordergen listens on http://{options.host}:{options.port}/ (Ctrl+C ends it)", flush=True)
    commands = {
        "web": supervisor.web_command(options.host, options.port),
        "worker": supervisor.worker_command(),
        "sweeper": supervisor.sweep_command(),
    }
    _supervise(commands)


def web_command_(options: argparse.Namespace) -> None:
    from ordergen.ops import supervisor

    _must_be_free(options)
    _must_be_migrated()
    _supervise({"web": supervisor.web_command(options.host, options.port)})


def worker_command_(_options: argparse.Namespace) -> None:
    from ordergen.ops import supervisor

    _must_be_migrated()
    _supervise({"worker": supervisor.worker_command(), "sweeper": supervisor.sweep_command()})


def _supervise(commands: dict[str, list[str]]) -> None:
    from django.conf import settings

    from ordergen.ops import supervisor

    if "web" in commands and settings.ORDERGEN_API_AUTH == "none":
        print(
            "ORDERGEN_API_AUTH=none: everybody who reaches this address may do everything through API v1.",
            file=sys.stderr,
            flush=True,
        )
    with tempfile.TemporaryDirectory(prefix="ordergen-metrics-") as folder:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)  # before any process that measures starts
        try:
            supervisor.supervise(commands)
        except supervisor.SupervisionError as error:
            raise CommandError(str(error)) from error


def sweep_command_(options: argparse.Namespace) -> None:
    from django.conf import settings
    from django.db import Error, connection

    from models_app.tasks import sweep_figures
    from rebalance_app.runs.sweep import stand_in, sweep

    stood_in = False
    while True:
        try:
            sweep()
            stood_in = options.forever and stand_in(again=stood_in)
            sweep_figures()
        except Error as error:
            if not options.forever:
                raise
            print(f"sweep: {error}; trying again", file=sys.stderr, flush=True)
            connection.close()
            stood_in = False
        if not options.forever:
            return
        if not stood_in:
            time.sleep(settings.SWEEP_SECONDS)


def import_command(options: argparse.Namespace) -> None:
    from models_app.imports import import_file

    plan = import_file(options.kind, options.file, _user(options.user), dry_run=options.dry_run)
    print(plan.summary)
    print(*plan.notes, sep="\n", end="\n" * bool(plan.notes), file=sys.stderr)


def _user(username: str | None, role: str = "manager") -> Any:
    """The named person, or the only active one with the role."""
    from ordergen.accounts.models import User

    people = [user for user in User.objects.filter(is_active=True).order_by("username") if role in user.roles]
    if username:
        people = list(User.objects.filter(username=username, is_active=True))
    if len(people) != 1:
        found = f"there are {len(people)}: name one with --as" if not username else f"no active user {username}"
        raise CommandError(f"Who does this? Needs a person with the role {role}; {found}.")
    return people[0]


def rebalance_command(options: argparse.Namespace) -> None:
    from rebalance_app.runs.report import run_report
    from rebalance_app.runs.work import rebalance_named

    run = rebalance_named(by=_user(options.user), model=options.model, portfolio=options.portfolio)
    _print_report(run_report(run), as_json=options.json)


def _print_report(report: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report))
        return
    from rebalance_app.runs.report import in_words

    print(in_words(report))


def solve_command(options: argparse.Namespace) -> None:
    if options.for_worker:
        from rebalance_app.solving.solver_protocol import answer_questions

        answer_questions()
        return
    try:
        source = options.file.open("rb") if options.file else nullcontext(sys.stdin.buffer)
    except OSError as error:
        raise CommandError(f"{options.file}: {error.strerror}") from error
    from rebalance_app.solving.failures import DEFECT

    with source as lines:
        faults = [_solve_line(line, number) for number, line in enumerate(lines, 1) if line.strip()]
    if failed := faults.count(DEFECT):
        raise CommandError(f"the program failed on {failed} of {len(faults)} lines; their answers say how, see above")
    if unreadable := faults.count("INVALID_PROBLEM"):
        told = "1 line was no problem that can be solved; its answer says why"
        if unreadable > 1:
            told = f"{unreadable} lines were no problems that can be solved; their answers say why"
        raise CommandError(told)


def _solve_line(line: bytes, number: int) -> str | None:
    """Answers one problem on standard output; returns the code of what kept it from being solved at all."""
    from models_app.portfolio.types import ProblemError
    from rebalance_app.answers.scenarios import answer_line
    from rebalance_app.answers.sentences import sentence
    from rebalance_app.optimiser.problem.json_format import loads
    from rebalance_app.solving.failures import in_words, program_failed

    document: Any = None
    try:
        document = loads(line)
        answer, fault = answer_line(document), None
    except ProblemError as error:
        fault = "INVALID_PROBLEM"
        reason = {"code": fault, "field": error.field, "message": str(error), "security_id": None}
        answer = {"portfolio_id": _named(document), "line": number, "status": "error", "reasons": [reason]}
    except Exception as error:
        logging.getLogger(__name__).exception("line %s", number)
        why = program_failed(in_words(error))
        fault = why.code
        reason = {"code": fault, "message": sentence(why), "security_id": None}
        answer = {"portfolio_id": _named(document), "line": number, "status": "error", "reasons": [reason]}
    print(json.dumps(answer), flush=True)
    return fault


def _named(document: Any) -> str | None:
    """Whose problem it was to be, as far as that can be read."""
    name = document.get("portfolio_id") if isinstance(document, dict) else None
    return name if isinstance(name, str) else None


def demo_command(options: argparse.Namespace) -> None:
    from ordergen.ops.demo import make_demo, signs

    if not options.once:
        _must_be_free(options)
    migrate_command(options)
    demo = make_demo()
    if options.once:
        _print_report(demo.report, as_json=options.json)
        return
    print(signs(demo, f"http://{options.host}:{options.port}/"), flush=True)
    serve_command(options)


def create_user_command(options: argparse.Namespace) -> None:
    from getpass import getpass

    from ordergen.accounts.services import user_create

    password = getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    user = user_create(username=options.username, password=password, roles=options.roles)
    print(f"created {user.username}: {', '.join(user.roles)}")


def create_api_key_command(options: argparse.Namespace) -> None:
    from ordergen.accounts.keys import create_api_key
    from ordergen.core.errors import InvalidInputError

    owner = _user(options.username)
    try:
        key, plain = create_api_key(user=owner, name=options.name, scopes=options.scopes, days=options.days)
    except InvalidInputError as error:
        raise CommandError(" ".join(error.fields.values())) from error
    print(plain)
    print(
        f"{key.name} of {options.username}, until {key.expires_at:%Y-%m-%d}: {', '.join(key.scopes)}", file=sys.stderr
    )


def verify_command(_options: argparse.Namespace) -> None:
    from ordergen.ops.verify import verify_all

    report = verify_all()
    print(json.dumps(report))
    if report["violations"]:
        raise CommandError(f"{report['violations']} violations")


if __name__ == "__main__":
    sys.exit(main())
