"""The five GlobeCo services on loopback, as one process: `python -m tests.globeco.simulator --port 9000`.

PORT is for control, the services listen on the five ports after it: accounting, security, pricing, portfolio, order.

    GET    /calls                                            what was asked of whom, with correlation ids
    DELETE /calls
    POST   /faults {"service", "fault", "times"?, "seconds"?}  from now on, or for so many calls
    DELETE /faults                                           all is well again
    GET    /book                                             ids of portfolios and securities

Faults: down (nobody listens), refused (the connection is reset), slow, truncated (the connection ends in the middle),
wrong_length (a Content-Length that is too small), short (a line is missing, the totals stay), duplicate (a line comes
twice), not_numeric, nan, oversized, a status (429 and 503 with Retry-After), 500_before, 500_after and late (504 at
once, and the effect some seconds later).
"""

from __future__ import annotations

import argparse
import copy
import json
import socket
import struct
import threading
import time
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.globeco.book import Book, from_csv, generated
from tests.globeco.services import SERVICES, Request, World

HOST = "127.0.0.1"
LISTS = ("securities", "balances", "portfolios")
NUMBERS = ("close", "cashBalance", "quantityLong", "totalElements", "total")


@dataclass
class Fault:
    fault: str
    times: int | None = None
    seconds: float = 2.0


@dataclass(frozen=True)
class Call:
    service: str
    method: str
    path: str
    correlation: str


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler], simulator: Simulator, name: str) -> None:
        self.simulator, self.name = simulator, name
        super().__init__((HOST, port), handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is nothing to report."""


class Simulator:
    """Services, their faults and what was asked of them."""

    def __init__(self, book: Book, port: int, latency: float = 0.0) -> None:
        self.world, self.port, self.latency = World(book), port, latency
        self.calls: list[Call] = []
        self.faults: dict[str, Fault] = {}
        self.servers: dict[str, Server] = {}
        self.lock = threading.Lock()

    def port_of(self, name: str) -> int:
        return self.port + 1 + list(SERVICES).index(name)

    def listen(self, name: str) -> None:
        if name not in self.servers:
            server = Server(self.port_of(name), ServiceHandler, self, name)
            self.servers[name] = server
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def fall_silent(self, name: str) -> None:
        if server := self.servers.pop(name, None):
            server.shutdown()
            server.server_close()

    def set_fault(self, name: str, fault: Fault) -> None:
        self.faults[name] = fault
        if fault.fault == "down":
            self.fall_silent(name)

    def clear_faults(self) -> None:
        self.faults.clear()
        for name in SERVICES:
            self.listen(name)

    def fault_now(self, name: str) -> Fault | None:
        with self.lock:
            fault = self.faults.get(name)
            if fault and fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self.faults[name]
            return fault


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one piece, or every answer waits for the client's delayed acknowledgement
    server: Server

    def log_message(self, *_args: object) -> None:
        """Nothing: tests ask for what they want to know."""

    def body(self) -> Any:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        try:
            return json.loads(raw) if raw else None
        except ValueError:
            return None

    def answer(self, status: int, content: Any, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send(status, data, str(len(data)), **headers)

    def send(self, status: int, data: bytes, length: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def do_GET(self) -> None:
        self.handle_any()

    do_POST = do_DELETE = do_GET  # noqa: N815  the standard library's names

    def handle_any(self) -> None:
        raise NotImplementedError


class ControlHandler(Handler):
    def handle_any(self) -> None:
        simulator, asked = self.server.simulator, (self.command, self.path)
        body = self.body()
        if asked == ("GET", "/calls"):
            self.answer(200, [asdict(call) for call in list(simulator.calls)])
        elif asked == ("DELETE", "/calls"):
            simulator.calls.clear()
            self.answer(200, {})
        elif asked == ("POST", "/faults"):
            simulator.set_fault(body.pop("service"), Fault(**body))
            self.answer(200, {})
        elif asked == ("DELETE", "/faults"):
            simulator.clear_faults()
            self.answer(200, {})
        elif asked == ("GET", "/book"):
            book = simulator.world.book
            self.answer(
                200, {"portfolios": book.portfolios, "securities": {s.id: s.ticker for s in book.securities.values()}}
            )
        else:
            self.answer(404, {})


class ServiceHandler(Handler):
    def handle_any(self) -> None:
        name, simulator = self.server.name, self.server.simulator
        body = self.body()
        if name not in simulator.servers:  # a connection from before the service fell silent
            self.close_connection = True
            return
        where = urlsplit(self.path)
        path = unquote(where.path)
        simulator.calls.append(Call(name, self.command, path, self.headers.get("X-Correlation-ID", "")))
        time.sleep(simulator.latency)
        fault = simulator.fault_now(name)
        if fault is None:
            self.answer(*self.carry_out(path, where.query, body))
        else:
            self.misbehave(fault, path, where.query, body)

    def carry_out(self, path: str, query: str, body: Any) -> tuple[int, Any]:
        for method, pattern, handle in SERVICES[self.server.name]:
            match = pattern.fullmatch(path)
            if match and method == self.command:
                return handle(Request(match, dict(parse_qsl(query)), body, self.server.simulator.world))
        return 404, {"detail": "Not Found"}

    def misbehave(self, fault: Fault, path: str, query: str, body: Any) -> None:
        what = fault.fault
        if what == "late":
            threading.Timer(fault.seconds, self.carry_out, (path, query, body)).start()
            self.answer(504, {"detail": "Gateway Timeout"})
        elif what == "refused":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif what == "500_before":
            self.answer(500, {"detail": "Internal Server Error"})
        elif what.isdigit():
            headers = {"Retry_After": f"{fault.seconds:.0f}"} if what in {"429", "503"} else {}
            self.answer(int(what), {"detail": f"fault {what}"}, **headers)
        else:
            self.distort(fault, *self.carry_out(path, query, body))

    def distort(self, fault: Fault, status: int, content: Any) -> None:
        """What happens to an answer after the service has done what it was asked."""
        data = json.dumps(distorted(content, fault.fault)).encode()
        if fault.fault == "500_after":
            self.answer(500, {"detail": "Internal Server Error"})
        elif fault.fault == "slow":
            time.sleep(fault.seconds)
            self.answer(status, data)
        elif fault.fault == "oversized":
            self.answer(status, data + b" " * 11 * 1024 * 1024)
        elif fault.fault in {"truncated", "wrong_length"}:
            length = len(data) if fault.fault == "truncated" else len(data) // 2
            self.send(status, data[: len(data) // 2], str(length), Connection="close")
            self.close_connection = True
        else:
            self.answer(status, data)


def distorted(content: Any, fault: str) -> Any:
    """The answer with one thing wrong in it."""
    content = copy.deepcopy(content)
    lines = content if isinstance(content, list) else next((content[name] for name in LISTS if name in content), [])
    if fault == "short" and lines:
        lines.pop()
    if fault == "duplicate" and lines:
        lines.append(lines[-1])
        for holder in (content, content.get("pagination", {})) if isinstance(content, dict) else ():
            for name in {"securityCount", "totalElements", "total"} & holder.keys():
                holder[name] += 1
    if fault in {"not_numeric", "nan"}:
        _spoil(content, "abc" if fault == "not_numeric" else float("nan"))
    return content


def _spoil(content: Any, value: object) -> None:
    """Puts `value` in place of the first number."""
    holders = [content, content.get("pagination", {})] if isinstance(content, dict) else content[:1]
    for holder in holders:
        for name in NUMBERS:
            if name in holder:
                holder[name] = value
                return


def main() -> None:
    parser = argparse.ArgumentParser(description="The five GlobeCo services, simulated.")
    parser.add_argument(
        "--book", default="generated", help="'generated', or a folder of CSV files as ordergen exports them"
    )
    parser.add_argument("--port", type=int, default=9000, help="for control; the services take the five after it")
    parser.add_argument("--portfolios", type=int, default=120)
    parser.add_argument("--positions", type=int, default=30)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that every answer takes")
    options = parser.parse_args()
    if options.book == "generated":
        book = generated(portfolios=options.portfolios, positions=options.positions)
    else:
        book = from_csv(Path(options.book))
    simulator = Simulator(book, options.port, options.latency)
    simulator.clear_faults()
    Server(options.port, ControlHandler, simulator, "control").serve_forever()


if __name__ == "__main__":
    main()
