"""Locks by name, each a document that one process has for a while.

MongoDB has no lock to wait for: of two transactions that write one document the second fails at once, and only whoever
began it can begin it anew. So whoever will record takes a lock first, outside of the session: its transaction reads
nothing before it has it, and so sees all that the one before wrote.

A process that dies leaves its lock to lapse. Should one hang for longer and go on, what keeps the audit chain whole is
the chain: of two events that follow the same one, MongoDB takes one, and the other's transaction is undone.
"""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import Any

from django.db.utils import IntegrityError, OperationalError
from django.utils import timezone

from ordergen.core.mongo.errors import translated

COLLECTION = "ordergen_lock"
LEASE = timedelta(seconds=90)  # longer than a transaction may take on MongoDB, which is a minute
LOOK_SECONDS, LONGEST_LOOK = 0.002, 0.05


class LockHeldError(OperationalError):
    """Somebody else has had the lock for as long as we wait for one."""


class Locks:
    """Those that the transaction of one connection holds."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.token = ""
        self.held: set[str] = set()

    def take(self, name: str, *, seconds: float) -> None:
        """Waits for the lock, and holds it until `release`; raises LockHeldError after `seconds`."""
        if name in self.held:
            return
        self.token = self.token or secrets.token_hex(12)
        deadline, pause = time.monotonic() + seconds, LOOK_SECONDS
        while not self._taken(name):
            if time.monotonic() > deadline:
                raise LockHeldError(f"the lock {name!r} is somebody else's")
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_LOOK)
        self.held.add(name)

    def _taken(self, name: str) -> bool:
        """Of a lock that somebody has no document fits, and a second one of its name cannot be made."""
        now = timezone.now()
        free, ours = {"_id": name, "until": {"$lte": now}}, {"token": self.token, "until": now + LEASE}
        try:
            with translated():
                self._documents().update_one(free, {"$set": ours}, upsert=True)
        except IntegrityError:
            return False
        return True

    def release(self) -> None:
        """Lets go of all, after the commit or the rollback."""
        held, self.held = self.held, set()
        with translated():
            for name in held:
                self._documents().delete_one({"_id": name, "token": self.token})

    def _documents(self) -> Any:
        return self.connection.database[COLLECTION]
