"""How a batch is written for whoever trades it. A layout is data: its name, its header and a row of an order.

    orders   the columns of ordergen, for a spreadsheet or a person
    broker   what most brokers' uploads ask for: account, identifier, order type, time in force
    fix44    FIX 4.4 NewOrderSingle messages (https://www.fixtrading.org/standards/), one a line

Everything is a market order for the day. What the book does not know (ISIN, currency) stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import simplefix

from ordergen.core.csv import csv_text, guard

LINE = (
    "place", "order_id", "order__rebalance__number", "order__portfolio_id", "order__portfolio_name",
    "order__security_id", "order__ticker", "order__side", "order__quantity", "order__price", "order__value",
)  # fmt: skip  # the columns of a BatchLine, of a row of a batch


class BatchLine(NamedTuple):
    """An order as a batch writes it; `order_id` is its client order id, the same in every file and answer."""

    place: int
    order_id: str
    run: int
    portfolio_id: str
    portfolio_name: str
    security_id: str
    ticker: str
    side: str
    quantity: int
    price: Decimal
    value: Decimal


@dataclass(frozen=True)
class BatchHead:
    """Which batch it is, and since when."""

    number: int
    made_at: datetime
    n_orders: int


Write = Callable[[BatchHead, Iterator[Sequence[BatchLine]]], Iterator[str]]


@dataclass(frozen=True)
class Layout:
    """One way to write a batch, piece by piece from pieces of its orders."""

    name: str
    title: str
    suffix: str
    media_type: str
    write: Write
    is_sent: bool = False  # to a service, which is asked for each order; the file is the record of it


def _table(header: Sequence[str], row: Callable[[BatchHead, BatchLine], Sequence[object]]) -> Write:
    def write(head: BatchHead, pieces: Iterator[Sequence[BatchLine]]) -> Iterator[str]:
        yield csv_text([header])
        for lines in pieces:
            yield csv_text([_cell(value) for value in row(head, line)] for line in lines)

    return write


def _cell(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else guard(str(value))


ORDERS = (
    "batch", "place", "order_id", "run", "portfolio_id", "portfolio", "security_id", "ticker", "side", "quantity",
    "price", "value",
)  # fmt: skip
BROKER = (
    "client_order_id", "account", "symbol", "isin", "currency", "side", "quantity", "order_type", "time_in_force",
)  # fmt: skip


def _of_orders(head: BatchHead, line: BatchLine) -> Sequence[object]:
    return (head.number, *line)


def _of_broker(_: BatchHead, line: BatchLine) -> Sequence[object]:
    return (line.order_id, line.portfolio_name, line.ticker, "", "", line.side, line.quantity, "MARKET", "DAY")


def _fix(head: BatchHead, pieces: Iterator[Sequence[BatchLine]]) -> Iterator[str]:
    return ("".join(_new_order_single(head, line) for line in lines) for lines in pieces)


def _new_order_single(head: BatchHead, line: BatchLine) -> str:
    message = simplefix.FixMessage()
    message.append_pair(8, "FIX.4.4")
    message.append_pair(35, "D", header=True)
    message.append_pair(49, "ORDERGEN", header=True)
    message.append_pair(56, "DESTINATION", header=True)
    message.append_pair(34, line.place, header=True)
    message.append_utc_timestamp(52, head.made_at, precision=3, header=True)
    message.append_pair(11, line.order_id)
    message.append_pair(1, line.portfolio_id)
    message.append_pair(55, line.ticker)
    message.append_pair(54, 1 if line.side == "BUY" else 2)
    message.append_utc_timestamp(60, head.made_at, precision=3)
    message.append_pair(38, line.quantity)
    message.append_pair(40, 1)  # market
    message.append_pair(59, 0)  # day
    encoded: bytes = message.encode()
    return encoded.decode() + "\n"


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout("orders", "CSV with the columns of ordergen", "csv", "text/csv", _table(ORDERS, _of_orders)),
        Layout("broker", "CSV as brokers take it", "csv", "text/csv", _table(BROKER, _of_broker)),
        Layout("fix44", "FIX 4.4 messages", "fix", "text/plain", _fix),
        Layout("globeco", "To the GlobeCo order service", "csv", "text/csv", _table(ORDERS, _of_orders), is_sent=True),
    )
}
