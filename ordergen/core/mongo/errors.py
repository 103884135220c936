"""The driver's errors as Django has them, where we ask it past the backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.utils import IntegrityError, OperationalError
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

_DUPLICATE = 11000


@contextmanager
def translated() -> Iterator[None]:
    """A key that is there already is an IntegrityError, whatever else the driver raises an OperationalError."""
    try:
        yield
    except DuplicateKeyError as error:
        raise IntegrityError(str(error)) from error
    except BulkWriteError as error:
        faults = error.details.get("writeErrors", [])
        kind = IntegrityError if any(fault.get("code") == _DUPLICATE for fault in faults) else OperationalError
        raise kind(str(error)) from error
    except PyMongoError as error:
        raise OperationalError(str(error)) from error
