"""The errors a user may meet. One translator per door makes of them a page, a problem document or one line.

And one that nobody is to meet: BrokenPromiseError.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

Value = TypeVar("Value")


class OrdergenError(Exception):
    """Something the user can understand and act on.

    `message` says what is wrong and what would help; `fields` maps a field's path ("positions.3.target")
    to what is wrong with it, in the words of the form.
    """

    code = "error"
    status = HTTPStatus.BAD_REQUEST
    retry_after: int | None = None  # seconds after which the same request may well succeed
    is_partly_done = False  # otherwise nothing was changed

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})


class InvalidInputError(OrdergenError):
    """The request cannot be carried out as written; nothing was changed."""

    code = "invalid_input"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class NotFoundError(OrdergenError):
    code = "not_found"
    status = HTTPStatus.NOT_FOUND


class ConflictError(OrdergenError):
    """Somebody else was there first: a stale version, a taken name, a decision already made."""

    code = "conflict"
    status = HTTPStatus.CONFLICT


class PartlyDoneError(ConflictError):
    """What is done in parts stopped at one of them; the message says what was done before."""

    is_partly_done = True


class NotAllowedError(OrdergenError):
    code = "not_allowed"
    status = HTTPStatus.FORBIDDEN


class UnavailableError(OrdergenError):
    """A service we depend on did not answer; trying again later may help."""

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE


class TooManyError(OrdergenError):
    """One person has as much under way as one person may."""

    code = "too_many"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OverloadedError(UnavailableError):
    """There is more to do than can be taken in now; nothing was changed, and trying again later helps."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CannotWriteNowError(OverloadedError):
    """The database, or the disk, did not take what was to be written; `why` says that alone, the message all of it."""

    why = ""


class BusyError(CannotWriteNowError):
    """The database could not have a lock, or a connection, in the time that we wait for one."""

    code = "busy"
    why = "The database is busy."

    def __init__(self) -> None:
        super().__init__(f"{self.why} Nothing was changed; try again in a few seconds.", retry_after=5)


class DiskFullError(CannotWriteNowError):
    """There is no room for what is to be written."""

    code = "disk_full"
    why = "The disk is full."

    def __init__(self) -> None:
        told = "Nothing was changed, and nothing can be until an administrator makes room. Then try again."
        super().__init__(f"{self.why} {told}", retry_after=60)


class BrokenPromiseError(RuntimeError):
    """A defect: what must always hold does not, and nothing may be built on it. No -O drops it, as it would assert."""


def promised(value: Value | None, promise: str) -> Value:
    """The value that must be there by now. Raises BrokenPromiseError."""
    if value is None:
        raise BrokenPromiseError(promise)
    return value
