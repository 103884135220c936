"""Functions of `inside`, called in a process that has a site's settings and stays, for starting one takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class InsideError(AssertionError):
    """What the function raised over there."""


class Console:
    def __init__(self, environment: dict[str, str], log: Path) -> None:
        command = [sys.executable, "-m", "tests.chaos.inside"]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )

    def __call__(self, name: str, *arguments: Any) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([name, arguments]).encode() + b"\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        if "error" in reply:
            raise InsideError(reply["error"])
        return reply["answer"]

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process.wait(120)
