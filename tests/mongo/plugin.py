"""`pytest -p tests.mongo.plugin`: this process's tests run on a MongoDB of their own, which ends with it.

It has to be there before Django reads its settings, and so begins when it is imported.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys

import pytest

from tests.site import eventually, free_port


@pytest.fixture(scope="session", autouse=True)
def _no_permissions_made_again():
    """Emptying the tables after each test would have Django make its permissions, which nobody asks for, anew."""
    from django.contrib.contenttypes.management import create_contenttypes
    from django.db.models.signals import post_migrate

    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.disconnect(create_contenttypes)


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
