"""The orders of the list as CSV, whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice

from ordergen.core.csv import BYTE_ORDER_MARK, csv_text, guard
from ordergen.core.db import in_batches
from rebalance_app.models import Decision, Order
from rebalance_app.orders.paging import OrderScope, keys_in_order

ROWS_PER_PIECE = 2_000  # of an export
EXPORTED = (
    "id", "rebalance__number", "rebalance__model_name", "portfolio_id", "portfolio_name", "security_id", "ticker",
    "side", "quantity", "price", "value", "weight_before", "weight_after", "reason", "state", "quantity_done",
    "known_at",
)  # fmt: skip
DECIDED = ("decided_by", "decided_at", "comment")  # by whom, when and why it was decided on last
NAMES = {"id": "order_id", "rebalance__number": "run", "rebalance__model_name": "model"}
HEADER = (*(NAMES.get(name, name) for name in EXPORTED), *DECIDED)


def order_csv(scope: OrderScope | None) -> Iterator[str]:
    """The orders wanted as CSV text, piece by piece; a text that a spreadsheet would run begins with an apostrophe."""
    yield BYTE_ORDER_MARK + csv_text([HEADER])
    for rows in _pieces(scope) if scope else ():
        decided = _decided([row[0] for row in rows])
        yield csv_text([_cell(value) for value in (*row, *decided.get(row[0], ("",) * len(DECIDED)))] for row in rows)


def _decided(order_ids: Sequence[object]) -> dict[object, tuple[object, ...]]:
    """By order id what was decided last on each of these."""
    columns = ("order_id", "decided_by__username", "decided_at", "comment")
    batches = (Decision.objects.filter(order_id__in=batch) for batch in in_batches(order_ids))
    return {key: told for some in batches for key, *told in some.order_by("decided_at", "pk").values_list(*columns)}


def _pieces(scope: OrderScope) -> Iterator[list[tuple[object, ...]]]:
    """By key in short queries, for a long one would keep the database from cleaning up; sorted ones in a single one."""
    if scope.few is not None or scope.wanted.sort:
        rows = scope.all().order_by(*scope.by.terms)
        found = rows.values_list(*EXPORTED).iterator(chunk_size=ROWS_PER_PIECE)
        while batch := list(islice(found, ROWS_PER_PIECE)):
            yield batch
        return
    after, is_more = "", True
    while is_more:
        page = keys_in_order(scope, after, ROWS_PER_PIECE)
        yield list(Order.objects.filter(pk__in=page.rows).order_by(scope.by.key).values_list(*EXPORTED))
        after, is_more = page.next, bool(page.next)


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return "" if value is None else value.isoformat() if isinstance(value, datetime) else guard(str(value))
