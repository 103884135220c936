"""Whether the tables are those of this version, and who may change them.

An empty database is given its tables by whichever command comes first. One that holds something is changed only where
somebody said so: by `ordergen migrate`, or with `--migrate`.
"""

from __future__ import annotations

from enum import Enum, auto

from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from ordergen.core.db import held_alone
from ordergen.core.errors import ConflictError

OURS = frozenset({"core", "accounts", "audit", "models_app", "rebalance_app", "webhooks"})


class Version(Enum):
    """Of the tables, as compared with this program."""

    EMPTY = auto()
    EARLIER = auto()
    THIS = auto()
    LATER = auto()


def make_ready(*, may_migrate: bool = False) -> str:
    """Makes sure that the tables are those of this version; what was done for that in one line, or an empty text.

    Raises ConflictError where they are not, and nobody said that they may be changed. A database that does not answer
    yet is left to whoever needs it.
    """
    try:
        found = version()
    except OperationalError:
        return ""
    if found is Version.EARLIER and not may_migrate:  # or another command is at its tables now: wait for that
        with held_alone("migrate"):
            found = version()
    if found is Version.THIS:
        return ""
    if found is Version.LATER:
        raise ConflictError("The database is of a later version of ordergen: run that one.")
    if found is Version.EARLIER and not may_migrate:
        raise ConflictError(
            "The database is of an earlier version: run `ordergen migrate`, or this command with --migrate, "
            "after a backup."
        )
    if not migrate():
        return ""
    was = "empty" if found is Version.EMPTY else "of an earlier version"
    return f"the database was {was}; it has the tables of this version now"


def migrate() -> bool:
    """Brings the tables to this version; False where another command just did. One at a time does so."""
    with held_alone("migrate"):
        if version() is Version.THIS:
            return False
        call_command("migrate", verbosity=0)
    return True


def version() -> Version:
    """Raises OperationalError where the database does not answer."""
    executor = MigrationExecutor(connection)
    applied = {key for key in executor.loader.applied_migrations if key[0] in OURS}
    if not applied:
        return Version.EMPTY
    if applied - executor.loader.disk_migrations.keys():
        return Version.LATER
    is_behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return Version.EARLIER if is_behind else Version.THIS
