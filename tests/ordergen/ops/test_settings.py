"""What the manifests of the original service set is taken as they set it."""

import os
import subprocess
import sys

import pytest
from django.test import Client


@pytest.mark.parametrize("host", ["10.42.0.7:8088", "[fd00::7]:8088", "nobody.knows", "_", "a b"])
@pytest.mark.parametrize("path", ["/health/live", "/health/", "/health"])
def test_a_probe_by_the_address_of_a_pod_is_answered(db, host, path, no_files):
    assert Client().get(path, HTTP_HOST=host).status_code in (200, 307)


def test_anything_else_asks_for_a_host_that_is_allowed(db, no_files):
    assert Client().get("/api/v1/models", HTTP_HOST="10.42.0.7:8088").status_code == 400


def started(tmp_path, **environment):
    command = [sys.executable, "-c", "import django; django.setup()"]
    own = {"ORDERGEN_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "ordergen.settings"}
    return subprocess.run(
        command, env=os.environ | own | environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("length", "status", "said"), [(31, 1, "at least 32"), (42, 0, "50 or more"), (50, 0, "")])
def test_a_weak_secret_key_is_warned_of_and_a_hopeless_one_refused(tmp_path, length, status, said):
    done = started(tmp_path, SECRET_KEY="k" * length)

    assert done.returncode == status
    assert said in done.stderr
    assert (done.stderr == "") == (said == "")


def test_networks_that_are_none_are_refused(tmp_path):
    assert "ORDERGEN_WEBHOOK_NETWORKS" in started(tmp_path, ORDERGEN_WEBHOOK_NETWORKS="10.0.0.0/33").stderr
