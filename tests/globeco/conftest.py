"""One simulator for the whole session; ordergen pointed at it, with nothing kept and no faults, for each test."""

import ssl
from decimal import Decimal
from functools import partial

import httpx
import pytest
from django.conf import settings
from django.core.cache import cache

from models_app.investment_models.rules import ModelDraft, PositionDraft
from models_app.modelling.services import model_create
from models_app.sources import globeco as source_module
from models_app.sources import http_client
from rebalance_app.sending import order_service
from tests.globeco.client import Globeco


@pytest.fixture(scope="session")
def simulator():
    running = Globeco("--portfolios", "12", "--positions", "8")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def certificates():
    return ssl.create_default_context()


@pytest.fixture
def globeco(simulator, settings, monkeypatch, certificates):
    """The simulator in good health, as the source of this test, with retries that do not keep anybody waiting."""
    # Reading all certificates takes each client 20 ms, and every test has clients of its own.
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, verify=certificates))
    settings.ORDERGEN_SOURCE = "globeco"
    for name, url in simulator.urls.items():
        setattr(settings, name, url)
    settings.EXTERNAL_SERVICE_PAUSE = 0.01
    settings.EXTERNAL_SERVICE_DEADLINE = 60  # a healthy service answers in time, however busy the machine
    _forget_all()
    simulator.heal()
    simulator.forget()
    yield simulator
    simulator.heal()
    _forget_all()


def _forget_all():
    cache.clear()
    for service in source_module.services().values():
        http_client.client(service.url).close()
    if settings.ORDER_SERVICE_URL:
        http_client.client(settings.ORDER_SERVICE_URL).close()
    order_service._service.cache_clear()
    http_client._client.cache_clear()
    source_module.services.cache_clear()


@pytest.fixture
def ids(simulator):
    """(portfolio ids, security ids) of the simulated book; the last portfolio has no balances."""
    book = simulator.control("GET", "/book")
    return list(book["portfolios"]), list(book["securities"])


@pytest.fixture
def model(manager, globeco, ids):
    """A model over the first ten portfolios, of eight securities."""
    portfolios, securities = ids
    line = (Decimal("0.11"), Decimal("0.03"), Decimal("0.03"))
    positions = tuple(PositionDraft(key, *line) for key in securities[:8])
    return model_create(draft=ModelDraft("Growth", positions, tuple(portfolios[:10])), by=manager)
