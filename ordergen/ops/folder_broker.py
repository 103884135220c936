"""Celery's messages as files in a folder, where a file that is no message is set aside and ends nobody.

kombu's own transport reads whatever lies there: one empty file ended a worker, eight of them everything. It also passes
messages through the folder for temporary files, and shows a file to readers before it is written. Here a message is
written beside and renamed, read where it is, and made anew from the little it says: a task, its id, its arguments.
Nothing is lost with a message that is set aside, since the database is the queue.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import time
import uuid
from collections import deque
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import OperationalError
from kombu.transport import filesystem, virtual

logger = logging.getLogger(__name__)
MAX_BYTES = 64 * 1024  # ours have one
MAX_SET_ASIDE = 1_000  # in one go, after which it is again the turn of whatever else a worker has to do
UNFINISHED_SECONDS = 60  # after which what somebody began to write will not become a message any more
_UNFINISHED = ".unfinished"


class NoMessageError(Exception):
    """What lies there is no message; says why."""


def read_message(path: Path, queue: str) -> dict[str, Any]:
    """The message for `queue` in a file; raises NoMessageError, or FileNotFoundError where somebody else took it."""
    try:
        # Not a link, and not a pipe that would wait for somebody to write into it.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NoMessageError("no ordinary file")
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NoMessageError(error.strerror) from error
    if len(content) > MAX_BYTES:
        raise NoMessageError(f"longer than {MAX_BYTES} bytes")
    try:
        given = json.loads(content)
        arguments, named, _ = json.loads(base64.b64decode(given["body"], validate=True))
        return _message(queue, given["headers"]["task"], given["headers"]["id"], arguments, named)
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise NoMessageError(f"not in the form of a message: {type(error).__name__}") from error


def _message(queue: str, task: object, task_id: object, arguments: object, named: object) -> dict[str, Any]:
    """A message of Celery's protocol 2 with nothing in it but these; raises TypeError where they cannot be meant."""
    if not (isinstance(task, str) and isinstance(task_id, str) and type(arguments) is list and type(named) is dict):
        raise TypeError("of other types")
    body = json.dumps([arguments, named, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    return {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": task_id, "root_id": task_id, "retries": 0},
        "properties": {
            "correlation_id": task_id,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }


class Channel(filesystem.Channel):
    """Messages in the folder `data_folder_in`; what is none goes to `set-aside` beside it."""

    supports_fanout = False
    get_table = virtual.Channel.get_table  # in memory: the routing key says whose a message is

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)  # type: ignore[no-untyped-call]  # kombu has none
        self._seen: deque[str] = deque()  # so that a folder full of messages is not listed for each of them

    def _queue_bind(self, *_binding: Any) -> None:
        """kombu writes bindings to files, which could be as odd as the messages."""

    def _size(self, queue: str) -> int:
        """Messages that wait; asked when a queue is declared, which may be before anything was sent."""
        return sum(path.name.endswith(f".{queue}.msg") for path in _made(self.data_folder_in).iterdir())

    def _put(self, queue: str, payload: dict[str, Any], **_options: Any) -> None:  # type: ignore[override]
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        try:
            unfinished = _made(self.data_folder_out) / f"{name}{_UNFINISHED}"
            unfinished.write_text(json.dumps(payload))
            unfinished.rename(unfinished.with_name(name))
        except OSError as error:
            raise OperationalError(f"no message can be written to {self.data_folder_out}: {error.strerror}") from error

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:  # noqa: ARG002  kombu's
        folder = _made(self.data_folder_in)
        self._seen = self._seen or deque(sorted(path.name for path in folder.iterdir()))
        odd: list[str] = []
        message = None
        while message is None and self._seen and len(odd) < MAX_SET_ASIDE:
            path = folder / self._seen.popleft()
            try:
                message = _take(path, queue)
            except FileNotFoundError:
                continue  # somebody else was first
            except NoMessageError as error:
                odd += _set_aside(path, str(error))
        if odd:
            logger.warning("%d things in %s that are no messages were set aside, first %s", len(odd), folder, odd[0])
        if message is None:
            raise Empty
        return message


def _made(folder: str) -> Path:
    """The folder, made anew where it is gone: that is a broker without messages, and ends no worker either."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _take(path: Path, queue: str) -> dict[str, Any] | None:
    """The message for `queue` in this file, which is gone then; None where it is another's, or not yet written."""
    if path.name.partition(".")[2] == f"{queue}.msg":
        message = read_message(path, queue)
        path.unlink()  # whoever does that has it
        return message
    if path.name.endswith(".msg") or _may_become_one(path):
        return None
    raise NoMessageError("not the name of a message")


def _may_become_one(path: Path) -> bool:
    return path.name.endswith(_UNFINISHED) and time.time() - path.lstat().st_mtime < UNFINISHED_SECONDS


def _set_aside(path: Path, why: str) -> list[str]:
    """Moves it out of the way; what that was and why, in one entry, or none where it could not be moved."""
    aside = path.parent.parent / "set-aside"
    try:
        aside.mkdir(exist_ok=True)
        path.rename(aside / f"{time.time_ns()}_{path.name[:150]}")
    except OSError as error:
        logger.warning("%s is no message (%s) and cannot be set aside: %s", path, why, error.strerror)
        return []
    return [f"{path.name[:80]!r} ({why})"]


class Transport(filesystem.Transport):
    """As kombu's, with our channel."""

    Channel = Channel
