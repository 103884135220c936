"""The parameters of API v2 are as strict as its bodies: a filter is honoured or refused, and never dropped.

One decorator for all operations, after it is known who asks. Pydantic has checked by then what the operation knows;
here is refused what it does not know, what is given twice, and what is given empty.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from django.http import HttpRequest
from ninja.operation import Operation

from ordergen.apis.field_codes import FieldCode
from ordergen.core.errors import InvalidInputError

MAY_BE_EMPTY = "cursor"  # as a loop over pages begins


class ParameterError(InvalidInputError):
    """Parameters that cannot be meant; `codes` says of each in a word what is wrong."""

    def __init__(self, faults: dict[str, tuple[FieldCode, str]]) -> None:
        name, (_, message) = next(iter(faults.items()))
        super().__init__(f"{name}: {message}", fields={name: message for name, (_, message) in faults.items()})
        self.codes = {name: code for name, (code, _) in faults.items()}


def strict_parameters(view: Callable[..., Any]) -> Callable[..., Any]:
    """For `add_decorator`: the operation answers only to parameters that it has, each given once and not empty."""

    @wraps(view)
    def strict(request: HttpRequest, **values: Any) -> Any:
        operation: Operation = view._ninja_operation  # type: ignore[attr-defined]  # noqa: SLF001  ninja's own note
        if request.GET and (faults := _faults(request, _known(operation))):
            raise ParameterError(faults)
        return view(request, **values)

    return strict


@cache
def _known(operation: Operation) -> tuple[str, ...]:
    """The names of an operation's query parameters, as its document has them."""
    return tuple(
        name
        for model in operation.models
        if model.__ninja_param_source__ == "query"
        for name in model.__ninja_flatten_map__
    )


def _faults(request: HttpRequest, known: tuple[str, ...]) -> dict[str, tuple[FieldCode, str]]:
    offered = f"there are {', '.join(known)}" if known else "there are none here"
    faults = {}
    for name, texts in request.GET.lists():
        if name not in known:
            faults[name[:100]] = FieldCode.UNKNOWN, f"is no parameter of this operation; {offered}."
        elif len(texts) > 1:
            faults[name] = FieldCode.REPEATED, "is given more than once."
        elif not texts[0] and name != MAY_BE_EMPTY:
            faults[name] = FieldCode.EMPTY, "is empty; leave it out where nothing is meant."
    return faults
