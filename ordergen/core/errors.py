"""The errors a user may meet. One translator per door makes of them a page, a problem document or one line.

And one that nobody is to meet: BrokenPromiseError.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import TypeVar

Value = TypeVar("Value")


class Code(StrEnum):
    """What went wrong, for programs to branch on: every code that an answer of API v2 may carry."""

    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"  # no credentials, or none that are good
    FORBIDDEN = "forbidden"  # the CSRF token
    CONFIRM_PASSWORD = "confirm_password"  # noqa: S105  it was given too long ago for what cannot be undone
    NOT_ALLOWED = "not_allowed"  # the roles of the person
    MISSING_SCOPE = "missing_scope"  # the scopes of the key
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    NAME_TAKEN = "name_taken"
    CHANGED_MEANWHILE = "changed_meanwhile"  # look again, and decide again
    PORTFOLIO_BUSY = "portfolio_busy"  # another run is at it
    RUN_ENDED = "run_ended"
    RUN_ACTIVE = "run_active"
    NOTHING_TO_RETRY = "nothing_to_retry"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    PARTLY_DONE = "partly_done"
    STALE_VERSION = "stale_version"
    REQUEST_ENTITY_TOO_LARGE = "request_entity_too_large"
    REQUEST_URI_TOO_LONG = "request_uri_too_long"
    REQUESTED_RANGE_NOT_SATISFIABLE = "requested_range_not_satisfiable"
    UNPROCESSABLE_ENTITY = "unprocessable_entity"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID_JSON = "invalid_json"
    INVALID_INPUT = "invalid_input"
    UNPRICED_MODEL = "unpriced_model"
    PRECONDITION_REQUIRED = "precondition_required"
    THROTTLED = "throttled"  # too many wrong passwords or keys
    TOO_MANY_REQUESTS = "too_many_requests"
    TOO_MANY = "too_many"  # runs under way
    INTERNAL_SERVER_ERROR = "internal_server_error"
    UNAVAILABLE = "unavailable"
    MALFORMED_ANSWER = "malformed_answer"  # of a service that keeps the book
    OVERLOADED = "overloaded"
    BUSY = "busy"
    DISK_FULL = "disk_full"
    ERROR = "error"


class OrdergenError(Exception):
    """Something the user can understand and act on.

    `message` says what is wrong and what would help; `fields` maps a field's path ("positions.3.target")
    to what is wrong with it, in the words of the form.
    """

    code: Code = Code.ERROR
    status = HTTPStatus.BAD_REQUEST
    retry_after: int | None = None  # seconds after which the same request may well succeed
    is_partly_done = False  # otherwise nothing was changed

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None, code: Code | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})
        self.code = code or self.code


class InvalidInputError(OrdergenError):
    """The request cannot be carried out as written; nothing was changed."""

    code = Code.INVALID_INPUT
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class NotFoundError(OrdergenError):
    code = Code.NOT_FOUND
    status = HTTPStatus.NOT_FOUND


class ConflictError(OrdergenError):
    """Somebody else was there first: a stale version, a taken name, a decision already made."""

    code = Code.CONFLICT
    status = HTTPStatus.CONFLICT


class PartlyDoneError(ConflictError):
    """What is done in parts stopped at one of them; the message says what was done before."""

    code = Code.PARTLY_DONE
    is_partly_done = True


class NotAllowedError(OrdergenError):
    code = Code.NOT_ALLOWED
    status = HTTPStatus.FORBIDDEN


class UnavailableError(OrdergenError):
    """A service we depend on did not answer; trying again later may help."""

    code = Code.UNAVAILABLE
    status = HTTPStatus.SERVICE_UNAVAILABLE


class TooManyError(OrdergenError):
    """One person has as much under way as one person may."""

    code = Code.TOO_MANY
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OverloadedError(UnavailableError):
    """There is more to do than can be taken in now; nothing was changed, and trying again later helps."""

    code = Code.OVERLOADED

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CannotWriteNowError(OverloadedError):
    """The database, or the disk, did not take what was to be written; `why` says that alone, the message all of it."""

    why = ""


class BusyError(CannotWriteNowError):
    """The database could not have a lock, or a connection, in the time that we wait for one."""

    code = Code.BUSY
    why = "The database is busy."

    def __init__(self) -> None:
        super().__init__(f"{self.why} Nothing was changed; try again in a few seconds.", retry_after=5)


class DiskFullError(CannotWriteNowError):
    """There is no room for what is to be written."""

    code = Code.DISK_FULL
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
