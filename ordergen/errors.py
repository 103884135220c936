"""The errors a user may meet. One translator per door makes of them a page, a problem document or one line."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus


class OrdergenError(Exception):
    """Something the user can understand and act on.

    `message` says what is wrong and what would help; `fields` maps a field's path ("positions.3.target")
    to what is wrong with it, in the words of the form.
    """

    code = "error"
    status = HTTPStatus.BAD_REQUEST

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


class NotAllowedError(OrdergenError):
    code = "not_allowed"
    status = HTTPStatus.FORBIDDEN


class UnavailableError(OrdergenError):
    """A service we depend on did not answer; trying again later may help."""

    code = "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE
