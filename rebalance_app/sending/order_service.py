"""The GlobeCo order service: what it is asked, and what its answers say for certain.

It makes an order of each element of an array, one by one, takes no id of ours and makes what it is sent twice twice. So
a request is never repeated, and only an answer of its own says anything of an order:

    nothing went out (no connection)        not sent
    200 or 207, whole, with the order's own  sent, with the service's id, or refused, with its words
    anything else, or nothing                unclear: it is looked up, or a person says
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from http import HTTPStatus
from typing import Any, NamedTuple

import httpx
from django.conf import settings

from models_app.sources.http_client import Deadline, Service
from models_app.sources.parse import MalformedAnswerError, Record, loads, record
from ordergen.core.breaker import Breaker
from rebalance_app.models import AttemptState
from rebalance_app.sending.layouts import BatchLine

NAME = "order service"
PATH = "/api/v1/orders"
TYPES = {"BUY": 1, "SELL": 2}
DEFAULT_BLOTTER, NEW = 1, 1
CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 30.0
MOST_BYTES = 1_000_000  # of an answer to AT_ONCE orders
AT_ONCE = 25  # orders of one request: it works them off one by one, and nobody knows how far when it breaks
SAME_MOMENT = timedelta(milliseconds=2)
PAGE, MOST_PAGES = 1_000, 100
_ANSWERED = (HTTPStatus.OK, HTTPStatus.MULTI_STATUS)
_SAME = ("portfolioId", "securityId", "orderTypeId", "quantity")


class Outcome(NamedTuple):
    """What is known of one order after it was asked for."""

    state: AttemptState
    destination_id: str = ""
    said: str = ""
    is_altered: bool = False  # the service has another order than was sent: stop, and look


def order_json(line: BatchLine, at: datetime) -> dict[str, Any]:
    """One order as the service takes it: at market, new, in the default blotter."""
    return {
        "blotterId": DEFAULT_BLOTTER,
        "statusId": NEW,
        "portfolioId": line.portfolio_id,
        "orderTypeId": TYPES[line.side],
        "securityId": line.security_id,
        "quantity": line.quantity,
        "limitPrice": None,
        "tradeOrderId": None,
        "orderTimestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "version": 1,
    }


def ask(lines: Sequence[BatchLine], at: datetime) -> list[Outcome]:
    """Sends these orders, once, by a connection of its own. What came of each, in their order; raises nothing."""
    body = [order_json(line, at) for line in lines]
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    try:
        with (
            httpx.Client(follow_redirects=False, trust_env=False, timeout=timeout) as client,
            client.stream("POST", settings.ORDER_SERVICE_URL + PATH, json=body) as response,
        ):
            status, content = response.status_code, _read(response)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        return [Outcome(AttemptState.NOT_SENT, said=_words(error, "cannot be reached"))] * len(lines)
    except (httpx.HTTPError, _TooLongError) as error:
        return [Outcome(AttemptState.UNCLEAR, said=_words(error, "gave no answer"))] * len(lines)
    return outcomes(status, content, body)


class _TooLongError(Exception):
    pass


def _read(response: httpx.Response) -> bytes:
    content = b""
    for piece in response.iter_bytes():
        content += piece
        if len(content) > MOST_BYTES:
            raise _TooLongError("more than a megabyte")
    return content


def _words(error: Exception, what: str) -> str:
    return f"The {NAME} {what} ({error or type(error).__name__})."[:500]


def outcomes(status: int, content: bytes, sent: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """What an answer says of each order that was sent, in their order."""
    nothing = Outcome(AttemptState.UNCLEAR, said=f"The {NAME} answered {status} and nothing of this order.")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return [Outcome(AttemptState.NOT_SENT, said=f"The {NAME} takes no request so large.")] * len(sent)
    if status not in _ANSWERED:
        return [nothing] * len(sent)
    try:
        results = record(NAME, "the answer", loads(NAME, content)).fields.get("orders")
    except MalformedAnswerError as error:
        return [Outcome(AttemptState.UNCLEAR, said=error.message[:500])] * len(sent)
    told: dict[int, list[Mapping[str, Any]]] = {}
    for result in results if isinstance(results, list) else ():
        if isinstance(result, dict) and type(at := result.get("requestIndex")) is int:
            told.setdefault(at, []).append(result)
    return [_outcome(told[at][0], sent[at]) if len(told.get(at, ())) == 1 else nothing for at in range(len(sent))]


def _outcome(result: Mapping[str, Any], sent: Mapping[str, Any]) -> Outcome:
    said, key = str(result.get("message") or "")[:500], result.get("orderId")
    if result.get("status") == "FAILURE" and key is None:
        return Outcome(AttemptState.REFUSED, said=said or f"The {NAME} refused it without a word.")
    if result.get("status") != "SUCCESS" or type(key) is not int:
        return Outcome(AttemptState.UNCLEAR, said=f"The {NAME} said neither that it has this order nor that not.")
    echo = result.get("order")
    if isinstance(echo, dict) and (wrong := [name for name in _SAME if name in echo and echo[name] != sent[name]]):
        told = ", ".join(f"{name} {echo[name]} instead of {sent[name]}" for name in wrong)
        return Outcome(
            AttemptState.UNCLEAR, str(key), f"ALTERED: the {NAME} has it with {told}."[:500], is_altered=True
        )
    return Outcome(AttemptState.SENT, str(key), said)


class KnownOrder(NamedTuple):
    """An order that the service has."""

    id: str
    portfolio_id: str
    security_id: str
    order_type: int
    quantity: str
    at: datetime


def orders_known() -> list[KnownOrder] | None:
    """Every order that the service has; None where there are more than MOST_PAGES pages. Raises UnavailableError."""
    service, deadline = _service(settings.ORDER_SERVICE_URL), Deadline(settings.EXTERNAL_SERVICE_DEADLINE)
    found: list[KnownOrder] = []
    for page in range(MOST_PAGES):
        answer = record(NAME, "the list", service.get(PATH, deadline, {"limit": PAGE, "offset": page * PAGE}))
        lines = answer.records("content")
        found += [_known(line) for line in lines]
        if len(lines) < PAGE:
            return found
    return None


@cache
def _service(url: str) -> Service:
    """One per process, for its breaker remembers."""
    return Service(NAME, url, Breaker(settings.EXTERNAL_SERVICE_MAX_FAILURES, settings.EXTERNAL_SERVICE_REST))


def _known(line: Record) -> KnownOrder:
    """One of the list, whose parts may stand in records of their own."""
    fields = line.fields

    def part(name: str, within: str, inner: str) -> Any:
        own = fields.get(within)
        return fields[name] if name in fields else own.get(inner) if isinstance(own, dict) else None

    order_type = part("orderTypeId", "orderType", "id")
    at = fields.get("orderTimestamp")
    if type(fields.get("id")) is not int or type(order_type) is not int or not isinstance(at, str):
        line.refuse("is no order")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        line.refuse(f"has no time: {at[:40]}")
    portfolio_id, security_id = (str(part(f"{name}Id", name, f"{name}Id") or "") for name in ("portfolio", "security"))
    return KnownOrder(str(fields["id"]), portfolio_id, security_id, order_type, str(fields.get("quantity")), moment)


def matching(line: BatchLine, asked_at: datetime, known: Sequence[KnownOrder]) -> list[KnownOrder]:
    """Those of the service's orders that may be this one: the same trade, of the very moment that we sent with it.

    The service keeps that moment to the millisecond and makes none itself, so that an equal order of somebody else's is
    not taken for ours. One whose moment it changed is found by nobody but a person.
    """
    return [
        order
        for order in known
        if (order.portfolio_id, order.security_id, order.order_type)
        == (line.portfolio_id, line.security_id, TYPES[line.side])
        and _is_number(order.quantity, line.quantity)
        and abs(order.at - asked_at) < SAME_MOMENT
    ]


def _is_number(text: str, number: int) -> bool:
    try:
        return float(text) == number
    except ValueError:
        return False


def is_there() -> bool:
    """Whether this installation has an order service to send to."""
    return bool(settings.ORDER_SERVICE_URL)
