"""API v1 over real HTTP: a web server and a worker of their own, as a client of the original service meets them."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException

import pytest

from tests.site import Site, eventually, free_port

# What other tests left to the garbage collector comes up here, where a server is waited for.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]

FILL = """
from decimal import Decimal
from models_app.models import Portfolio, Price, Security
from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from ordergen.accounts.keys import SCOPES, create_api_key
from ordergen.accounts.services import user_create
maya = user_create(username='maya', password='a-long-enough-word', roles=['manager'])
securities = [Security.objects.create(ticker=f'S{i:02}', name=f'Security {i}') for i in range(10)]
for i, s in enumerate(securities):
    Price.objects.create(security=s, date='2026-11-20', close=Decimal(567 + 233 * i) / 100)
positions = [PositionDraft(s.pk, Decimal('0.08'), Decimal('0.02'), Decimal('0.02')) for s in securities]
portfolios = [Portfolio.objects.create(name=f'P{i:03}', cash=Decimal(100_000 + 137 * i)) for i in range(30)]
model = model_create(draft=ModelDraft('Many', tuple(positions), tuple(p.pk for p in portfolios)), by=maya)
key = create_api_key(user=maya, name='portal', scopes=tuple(SCOPES), days=1)[1]
answer = {'model': model.pk, 'key': key}
"""


class Portal:
    """A client that knows nothing of ordergen but the contract."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.key = port, key

    def ask(self, method: str, path: str, body: object = None, correlation: str = "") -> tuple[int, object]:
        headers = {"X-API-Key": self.key, "Content-Type": "application/json", "X-Correlation-ID": correlation}
        data = None if body is None else json.dumps(body)
        status, answer = self._asked(method, path, data, headers)
        return status, json.loads(answer or b"null")

    def text(self, path: str) -> str:
        return self._asked("GET", path, None, {})[1].decode()

    def _asked(self, method: str, path: str, data: str | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """By a connection that is closed whatever comes of it: urllib leaves that of a server that only begins."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request(method, path, data, headers)
            response = connection.getresponse()
            return response.status, response.read()

    def is_ready(self) -> bool:
        try:
            return self.ask("GET", "/health/ready")[0] == 200
        except (OSError, HTTPException):
            return False


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path, ORDERGEN_V1_WAIT_SECONDS="100")  # a busy machine answers too
    assert site.run("migrate").returncode == 0
    yield site
    site.stop()


def test_a_portal_rebalances_reads_and_deletes_against_a_real_worker(site):
    filled, port = site.ask(FILL), free_port()
    portal = Portal(port, filled["key"])
    site.start("serve", "--port", str(port))
    eventually(portal.is_ready, 180)

    status, elements = portal.ask("POST", f"/api/v1/model/{filled['model']}/rebalance")
    assert (status, len(elements)) == (200, 30), elements
    assert all(element["transactions"] and element["status"] == "solved" for element in elements)
    status, (stored,) = portal.ask("GET", "/api/v1/rebalances?offset=0&limit=20&sort_by=-rebalance_date")
    assert (status, stored["rebalance_id"]) == (200, elements[0]["rebalance_id"])
    for portfolio in stored["portfolios"]:
        spent = sum(line["trade_quantity"] * line["price"] for line in portfolio["positions"] if line["trade_quantity"])
        assert portfolio["cash_after_rebalance"] == pytest.approx(portfolio["cash_before_rebalance"] - spent, abs=1e-6)
    assert portal.ask("DELETE", f"/api/v1/rebalance/{stored['rebalance_id']}?version=1")[0] == 200
    assert portal.ask("GET", "/api/v1/rebalances")[1] == []

    model = portal.ask("GET", f"/api/v1/model/{filled['model']}")[1]
    with ThreadPoolExecutor(8) as editors:
        answers = list(
            editors.map(
                lambda n: portal.ask("PUT", f"/api/v1/model/{filled['model']}", model | {"name": f"Editor {n}"}),
                range(8),
            )
        )
    assert sorted(status for status, _ in answers) == [200] + [409] * 7, "of equal versions exactly one wins"

    too_much = portal.ask("POST", "/api/v1/models", {"name": "x" * 5_000_000})
    assert too_much == (413, {"detail": "A body has at most 1048576 bytes."}), "who sends it all is told why not"
