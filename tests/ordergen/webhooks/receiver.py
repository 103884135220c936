"""Somebody who listens, and answers as badly as receivers do."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

Behaviour = Callable[[socket.socket], None]


class Receiver:
    """Takes messages in; `behaviours` says how the next ones are answered, and when they are used up with 204."""

    def __init__(self, *behaviours: Behaviour) -> None:
        self.behaviours = list(behaviours)
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/hook"
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def seqs(self) -> list[int]:
        return [json.loads(body)["data"]["seq"] for _, body in self.messages]

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # else who waits in accept() keeps it open
        self._server.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connected, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with connected, suppress(OSError):
            self.messages.append(_read(connected))
            (self.behaviours.pop(0) if self.behaviours else status(204))(connected)


def _read(connected: socket.socket) -> tuple[dict[str, str], bytes]:
    text = b""
    while b"\r\n\r\n" not in text:
        text += connected.recv(65536)
    head, _, body = text.partition(b"\r\n\r\n")
    pairs = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
    headers = {name.lower(): value for name, _, value in pairs}
    while len(body) < int(headers["content-length"]):
        body += connected.recv(65536)
    return headers, body


def status(code: int, *headers: str) -> Behaviour:
    def answer(connected: socket.socket) -> None:
        lines = [f"HTTP/1.1 {code} X", *headers, "Content-Length: 0", "", ""]
        connected.sendall("\r\n".join(lines).encode())

    return answer


def reset(connected: socket.socket) -> None:
    """Cuts the connection with RST."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def silence(connected: socket.socket) -> None:
    """Says nothing until the other side has gone."""
    connected.recv(1)


def drip(connected: socket.socket) -> None:
    """A byte of a header now and then: no read ever times out."""
    connected.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        connected.sendall(b"x")
        time.sleep(0.05)


def huge(connected: socket.socket) -> None:
    """A body without an end."""
    connected.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
    while True:
        connected.sendall(b"x" * 65536)


def nonsense(connected: socket.socket) -> None:
    connected.sendall(b"220 smtp.example.org ESMTP\r\n")


def endless_head(connected: socket.socket) -> None:
    connected.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connected.sendall(b"X-Y: " + b"z" * 1000 + b"\r\n")
