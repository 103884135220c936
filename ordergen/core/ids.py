"""What an id may look like, and new ones. The doors say what they answer to one that does not."""

from __future__ import annotations

import os
import re
import secrets
import time
from datetime import UTC, datetime
from itertools import count
from typing import Final

HEX_ID: Final = re.compile(r"[0-9a-fA-F]{24}")  # models, portfolios, rebalances; kept in lower case
ANY_ID: Final = re.compile(r"[A-Za-z0-9]{24}")  # securities


class _Serial:
    """What tells apart the ids of one second: five random bytes of the process, and a count of three bytes.

    Made as MongoDB's ObjectId is (https://www.mongodb.com/docs/manual/reference/bson-types/#objectid), for a tenth of
    the time that its Python class takes: a run makes a million of them.
    """

    def __init__(self) -> None:
        self.process = secrets.token_hex(5)
        self.count = count(secrets.randbelow(2**23))


_serial = _Serial()
os.register_at_fork(after_in_child=_serial.__init__)  # type: ignore[misc]  # a child makes ids of its own


def object_id() -> str:
    """A new record id: 24 hex characters, ascending in time."""
    return f"{int(time.time()):08x}{_serial.process}{next(_serial.count) & 0xFFFFFF:06x}"


def made_at(record_id: str) -> datetime:
    """The second in which `object_id` made this id, in UTC."""
    return datetime.fromtimestamp(int(record_id[:8], 16), UTC)


def first_id_at(moment: datetime) -> str:
    """What is below every id that `object_id` made in the second of `moment` or later, and above every earlier one."""
    return f"{min(max(int(moment.timestamp()), 0), 0xFFFFFFFF):08x}"
