"""`pytest -p tests.mongo.plugin`: this process's tests run on a MongoDB of their own, which ends with it.

It has to be there before Django reads its settings, and so begins when it is imported.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys

from tests.site import eventually, free_port


def _begin() -> str:
    """The address of the database of a new server; every write of a neighbour would be a conflict on a common one."""
    port = free_port()
    command = [sys.executable, "-m", "tests.mongo.server", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(server.kill)
    assert server.stdout is not None
    eventually(server.stdout.readline, 60)
    return f"mongodb://127.0.0.1:{port}/ordergen?directConnection=true"


os.environ["DATABASE_URL"] = _begin()
