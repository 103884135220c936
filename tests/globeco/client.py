"""Starting the simulator as a process, and talking to its control port."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any

from tests.site import eventually, free_port

SETTINGS = {
    "PORTFOLIO_ACCOUNTING_SERVICE_URL": 1,
    "SECURITY_SERVICE_URL": 2,
    "PRICING_SERVICE_URL": 3,
    "PORTFOLIO_SERVICE_URL": 4,
    "ORDER_SERVICE_URL": 5,
}


class Globeco:
    """A running simulator. `urls` are the settings that point ordergen at it."""

    def __init__(self, *options: str, port: int | None = None) -> None:
        self.port = port or free_port(block=6)
        command = [sys.executable, "-m", "tests.globeco.simulator", "--port", str(self.port), *options]
        self.process = subprocess.Popen(command)
        self.urls = {name: f"http://127.0.0.1:{self.port + at}" for name, at in SETTINGS.items()}
        eventually(self._answers, 120, every=0.05)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError("the simulator ended")
        try:
            return bool(self.control("GET", "/book"))
        except OSError:  # it does not listen yet, or has only begun to
            return False

    def control(self, method: str, path: str, body: Any = None) -> Any:
        return self.ask(0, method, path, body)[1]

    def ask(self, at: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Asks the control port (0) or one of the services (1 to 5) directly."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port + at}{path}", data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read() or b"null")

    def fault(self, service: str, fault: str, **more: Any) -> None:
        self.control("POST", "/faults", {"service": service, "fault": fault, **more})

    def heal(self) -> None:
        self.control("DELETE", "/faults")

    def calls(self, service: str = "") -> list[dict[str, str]]:
        """What was asked since the last `forget`."""
        return [call for call in self.control("GET", "/calls") if service in ("", call["service"])]

    def forget(self) -> None:
        self.control("DELETE", "/calls")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
