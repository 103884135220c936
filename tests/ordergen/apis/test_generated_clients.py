"""Clients that others generate from the document do the main job, against a live server with a worker."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ordergen.apis.pinned import _file
from tests.site import Site, eventually, free_port

FILL = """
from decimal import Decimal
from models_app.models import Portfolio, Price, Security
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from ordergen.accounts.keys import SCOPES, create_api_key
from ordergen.accounts.services import user_create
maya = user_create(username='maya', password='a-long-enough-word', roles=['manager'])
tom = user_create(username='tom', password='a-long-enough-word', roles=['approver'])
security = Security.objects.create(ticker='ACME', name='Acme')
Price.objects.create(security=security, date='2026-11-20', close=Decimal('41.37'))
lee = Portfolio.objects.create(name='Lee', cash=Decimal('70000'))
band = Decimal('0.05')
model = model_create(
    draft=ModelDraft('Half', (PositionDraft(security.pk, Decimal('0.5'), band, band),), (lee.pk,)), by=maya
)
keys = {one.username: create_api_key(user=one, name='t', scopes=tuple(SCOPES), days=1)[1] for one in (maya, tom)}
answer = {'model': model.pk, 'maya': keys['maya'], 'tom': keys['tom']}
"""
CLIENTS = Path(__file__).resolve().parents[3] / "clients/python"


def run(*command: str, **options) -> subprocess.CompletedProcess[str]:
    beside = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # generators call ruff
    environment = os.environ | options.pop("env", {}) | beside
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A live server with a worker, and two people with keys."""
    site = Site(tmp_path_factory.mktemp("clients"))
    assert site.run("migrate").returncode == 0
    made = site.ask(FILL)
    port = free_port()
    site.start("serve", "--port", str(port))
    host = f"http://127.0.0.1:{port}"
    ready = ["curl", "--silent", "--fail", host + "/health/ready"]
    eventually(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, 180)
    yield {"HOST": host, "KEY": made["maya"], "APPROVER_KEY": made["tom"], "MODEL": made["model"]}
    site.stop()


@pytest.mark.slow
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_openapi_python_client_makes_all_of_it(version, tmp_path):
    """It leaves out what it does not understand, and says so in a warning that nobody reads."""
    done = generate(version, tmp_path)

    assert "warning" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr
    operations = json.loads(_file(version).read_text())["paths"].values()
    files = [path for path in (tmp_path / "made" / "api").rglob("*.py") if path.name != "__init__.py"]
    assert len(files) == sum(len(methods) for methods in operations)


@pytest.mark.slow
def test_our_own_package_has_types_and_its_readme_does_the_main_job(live, tmp_path):
    """Names are typed throughout: an operation or a field that was renamed is an error of the type checker here."""
    run(sys.executable, str(CLIENTS / "generate.py"), str(tmp_path))
    program = tmp_path / "main_job.py"
    program.write_text((CLIENTS / "README.md").read_text().partition("```python\n")[2].partition("```")[0])
    run(sys.executable, "-m", "mypy", "--strict", "--config-file=", "ordergen_client", "main_job.py", cwd=tmp_path)
    done = run(sys.executable, str(program), cwd=tmp_path, env=live)

    assert done.stdout.split() == ["completed", "1", "BUY", "846", "ACME"]


@pytest.mark.slow
def test_datamodel_codegen_makes_types_that_read_real_answers(live, tmp_path):
    source = tmp_path / "made.py"
    run(
        sys.executable, "-W", "ignore", "-m", "datamodel_code_generator", "--input", str(_file("v2")),
        "--input-file-type", "openapi", "--output-model-type", "pydantic_v2.BaseModel", "--output", str(source),
    )  # fmt: skip
    script = """
import os, httpx, made
api = httpx.Client(base_url=os.environ["HOST"] + "/api/v2", headers={"X-API-Key": os.environ["KEY"]})
page = made.PageModelSummary.model_validate(api.get("/models").json())
problem = made.Problem.model_validate(api.get("/orders?status=approved").json())
print(page.items[0].name, page.items[0].target_sum, problem.code.value, problem.errors[0].code.value)
"""
    done = run(sys.executable, "-c", script, cwd=tmp_path, env=live)

    assert done.stdout.split() == ["Half", "0.5", "invalid_input", "unknown"]


def generate(version, folder):
    return run(
        sys.executable, "-m", "openapi_python_client", "generate", "--path", str(_file(version)),
        "--output-path", str(folder / "made"), "--meta", "none",
    )  # fmt: skip
