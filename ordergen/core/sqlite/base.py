"""SQLite has one writer at a time, and lets the others look again after pauses of up to a tenth of a second.

Between two workers that write for that long, one after the other, a third writer would find no gap for seconds, and the
workers themselves would idle. Here a transaction that has to wait looks again after milliseconds.
"""

from __future__ import annotations

import time

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

LOOK_SECONDS, LONGEST_LOOK = 0.001, 0.01
BUSY = "database is locked"


class DatabaseWrapper(base.DatabaseWrapper):
    """Waits at the begin of a transaction for as long as the option `timeout` says, like any other statement."""

    def _start_transaction_under_autocommit(self) -> None:
        timeout = float(self.settings_dict["OPTIONS"]["timeout"])
        deadline = time.monotonic() + timeout
        with self.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 0")
            try:
                pause = LOOK_SECONDS
                while not self._begun(give_up=time.monotonic() > deadline):
                    time.sleep(pause)
                    pause = min(1.2 * pause, LONGEST_LOOK)
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {round(timeout * 1000)}")

    def _begun(self, *, give_up: bool) -> bool:
        """Whether the transaction is open now; raises the OperationalError of a lock only when it is to give up."""
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]  # the stubs leave it out
        except OperationalError as error:
            if give_up or str(error) != BUSY:
                raise
            return False
        return True
