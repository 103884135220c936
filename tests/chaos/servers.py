"""Brokers and a database of a test's own, on free loopback ports, so that killing them disturbs nobody."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.conftest import unavailable
from tests.site import eventually, free_port

DEBIANS_FOLDERS = ("/usr/lib/rabbitmq/bin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True))


def program(name: str, service: str) -> str:
    """Where the program is; skips, or fails where the service is required, when it is nowhere."""
    path = shutil.which(name, path=os.pathsep.join((*DEBIANS_FOLDERS, os.environ["PATH"])))
    return path or unavailable(service, f"{name} is not installed")


class Server:
    """A process that listens on `port` and keeps what it has in `folder`, before and after it was killed."""

    user: str | None = None  # whom it runs as where the tests are root's, for PostgreSQL refuses that

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="ordergen-chaos-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def answers(self) -> bool:
        """Whether it takes connections."""
        with socket.socket() as probe:
            probe.settimeout(5)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def start(self) -> None:
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(self.command(), stdout=output, stderr=output, **self._who())
        eventually(self.answers, 180)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends it at once; another signal asks it to end. Whatever it has started ends too."""
        if self.process:
            os.killpg(self.process.pid, number)
            self.process.wait(60)
            self.process = None

    def freeze(self) -> None:
        """From here on it takes connections and bytes, and says nothing."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.process:
            os.killpg(self.process.pid, signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _who(self) -> dict[str, Any]:
        as_user = {"user": self.user, "group": self.user, "extra_groups": []} if self.user and os.geteuid() == 0 else {}
        return {**as_user, "cwd": self.folder, "env": os.environ | self.environment(), "start_new_session": True}


class Redis(Server):
    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        return [program("redis-server", "redis"), *options]

    def answers(self) -> bool:
        if not super().answers():
            return False
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100).startswith(b"+PONG")


class RabbitMQ(Server):
    """With an epmd of its own, which is killed with it."""

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def command(self) -> Sequence[str]:
        return [program("rabbitmq-server", "rabbitmq")]

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"chaos{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),  # the machine's own has the last word otherwise
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_SERVER_START_ARGS": "-start_epmd false",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def __init__(self) -> None:
        super().__init__()
        self.distribution_port, self.epmd_port = free_port(), free_port()
        (self.folder / "plugins").write_text("[].\n")
        self.epmd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.epmd is None:
            command = [program("epmd", "rabbitmq"), "-address", "127.0.0.1", "-port", str(self.epmd_port)]
            self.epmd = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        super().start()

    def answers(self) -> bool:
        """Its port opens before it answers."""
        if not super().answers():
            return False
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"AMQP\0\0\x09\x01")
            return bool(connection.recv(8))

    def close(self) -> None:
        super().close()
        if self.epmd:
            self.epmd.kill()
            self.epmd.wait()


class PostgreSQL(Server):
    user = "postgres"

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def __init__(self) -> None:
        super().__init__()
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user, self.user)
        initdb = [program("initdb", "postgres"), "--auth=trust", "--username=postgres", "--no-sync", "data"]
        subprocess.run(initdb, check=True, capture_output=True, **self._who())

    def command(self) -> Sequence[str]:
        options = [
            "-D",
            "data",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-k",
            str(self.folder),
            "-c",
            "shared_buffers=32MB",
        ]
        return [program("postgres", "postgres"), *options]

    def answers(self) -> bool:
        ready = [program("pg_isready", "postgres"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(ready, check=False).returncode == 0
