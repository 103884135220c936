"""API v2's drift index: portfolios of the firm or of a model by band use, as last computed."""

from __future__ import annotations

import re
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router

from models_app.drift_index import read
from models_app.drift_index.document import DriftState
from models_app.drift_index.schemas_v2 import FiguresPage, figures_out
from models_app.investment_models.selectors import model_get
from models_app.models import DriftFigures
from ordergen.apis.auth import needs
from ordergen.apis.conventions import NO_CURSOR, Cursor, Limit, PathId, read_cursor, write_cursor
from ordergen.apis.docs import errors
from ordergen.core.errors import InvalidInputError
from ordergen.web.keyset import Keyset, cut, first_of, parts_behind

router = Router(tags=["drift"])
READ = needs("book.read", "models:read")
State = Annotated[DriftState, Query()]


@router.get(
    "/drift", operation_id="models_app_api_v2_list_drift", response=FiguresPage, auth=READ, openapi_extra=errors()
)
def list_drift(
    request: HttpRequest, state: State | None = None, cursor: Cursor = "", limit: Limit = 50
) -> dict[str, Any]:
    """Every portfolio of the firm against each model it follows, the largest band use first, as last computed."""
    return _figures_page("", state, cursor, limit)


@router.get(
    "/models/{model_id}/drift",
    operation_id="models_app_api_v2_list_model_drift",
    response=FiguresPage,
    auth=READ,
    openapi_extra=errors(404),
)
def list_model_drift(
    request: HttpRequest, model_id: PathId, state: State | None = None, cursor: Cursor = "", limit: Limit = 50
) -> dict[str, Any]:
    """The portfolios of a model, the largest band use first, as last computed."""
    return _figures_page(model_get(model_id).pk, state, cursor, limit)


def _figures_page(model_id: str, state: str | None, cursor: str, limit: int) -> dict[str, Any]:
    after = _read_place(cursor) if cursor else None
    rows = read.rows_of(model_id)
    parts = parts_behind(rows.filter(state=state) if state else rows, Keyset("-pk", "-use"), after)
    page = cut(first_of(parts, limit + 1), limit, lambda row: write_cursor(_place(row), row.pk))
    fresh = read.freshness(model_id)
    return {
        "items": [figures_out(row) for row in page.rows],
        "next_cursor": page.next or None,
        "as_of": fresh.as_of,
        "n_outdated": fresh.n_old,
        "is_refreshing": fresh.is_running,
        "fault": fresh.fault or None,
    }


def _place(row: DriftFigures) -> str:
    """What the list is sorted by, in a cursor; empty where it is not known."""
    return "" if row.use is None else repr(row.use)


def _read_place(cursor: str) -> tuple[float | None, str]:
    use, key = read_cursor(cursor, str, str)
    if use and not re.fullmatch(r"\d{1,10}\.\d{1,20}(e[+-]?\d{1,3})?|\d(e[+-]?\d{1,3})", use, re.ASCII):
        raise InvalidInputError(NO_CURSOR, fields={"cursor": NO_CURSOR})
    return float(use) if use else None, key
