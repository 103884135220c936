"""API v1 without credentials is open to programs of the network, not to any page that somebody there looks at."""

import pytest
from django.test import Client

from rebalance_app.models import Rebalance

PORTAL, EVIL = "https://portal.example", "https://evil.example"


@pytest.fixture
def open_api(db, settings, no_files) -> Client:
    settings.ORDERGEN_API_AUTH = "none"
    settings.API_ORIGINS = [PORTAL]
    return Client()


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "https://portal.example.evil.example", "http://portal.example", "x", "http://["]
)
def test_a_page_of_another_site_neither_reads_nor_writes(open_api, book, origin):
    asked = {"Origin": origin}
    preflight = open_api.options("/api/v1/models", headers=asked | {"Access-Control-Request-Method": "POST"})
    read = open_api.get("/api/v1/models", headers=asked)
    simple = open_api.post(f"/api/v1/model/{book.model.pk}/rebalance", headers=asked, content_type="text/plain")

    for answer in (preflight, read, simple):
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer
        assert "Growth" not in answer.content.decode()
    assert not Rebalance.objects.exists()


def test_a_site_that_the_setting_names_and_our_own_read_and_write(open_api, book):
    for origin in (PORTAL, "http://testserver"):
        read = open_api.get("/api/v1/models", headers={"Origin": origin})
        assert (read.status_code, read["Access-Control-Allow-Origin"]) == (200, "*")
    asked = {"Origin": PORTAL, "Access-Control-Request-Method": "PUT"}
    assert open_api.options("/api/v1/models", headers=asked)["Access-Control-Allow-Origin"] == PORTAL


def test_a_program_says_nothing_of_an_origin_and_is_served(open_api, book):
    assert open_api.get("/api/v1/models").status_code == 200


def test_where_a_key_is_needed_any_origin_is_answered_as_ever(open_api, book, settings):
    settings.ORDERGEN_API_AUTH = "required"
    answer = open_api.get("/api/v1/models", headers={"Origin": EVIL})
    assert (answer.status_code, answer["Access-Control-Allow-Origin"]) == (401, "*")
