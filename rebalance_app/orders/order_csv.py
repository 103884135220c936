"""The orders of the list as CSV, whole."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

from ordergen.core.csv import BYTE_ORDER_MARK, csv_text, guard
from rebalance_app.models import Order
from rebalance_app.orders.paging import OrderScope, keys_in_order

ROWS_PER_PIECE = 2_000  # of an export
EXPORTED = (
    "id", "rebalance__number", "rebalance__model_name", "portfolio_id", "portfolio_name", "security_id", "ticker",
    "side", "quantity", "price", "value", "weight_before", "weight_after", "reason", "state",
)  # fmt: skip
HEADER = tuple(
    {"id": "order_id", "rebalance__number": "run", "rebalance__model_name": "model"}.get(n, n) for n in EXPORTED
)


def order_csv(scope: OrderScope | None) -> Iterator[str]:
    """The orders wanted as CSV text, piece by piece; a text that a spreadsheet would run begins with an apostrophe."""
    yield BYTE_ORDER_MARK + csv_text([HEADER])
    for rows in _pieces(scope) if scope else ():
        yield csv_text([_cell(value) for value in row] for row in rows)


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
    return f"{value.normalize():f}" if isinstance(value, Decimal) else guard(str(value))
