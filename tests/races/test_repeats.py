"""The same write sent twice at once, as by a client that lost its patience: it is done once, and answered to both."""

from __future__ import annotations

import pytest

from models_app.models import InvestmentModel
from tests.callers import Api

BODY = {"name": "Once", "portfolios": ["68a0c0ffee0000000000beef"]}


@pytest.mark.parametrize("path", ["/models", "/securities"])
def test_two_at_once_under_one_key_are_one(at_once, manager, key_for, path):
    key = key_for(manager)

    def send():
        api = Api("/api/v2", **{"X-API-Key": key})
        if path == "/models":
            return api.post(path, BODY, Idempotency_Key="k")
        return api.put(path, {"items": [{"ticker": "AAA"}]}, Idempotency_Key="k")

    answers = at_once(send, send, send)

    assert len({(answer.status_code, answer.content) for answer in answers}) == 1, answers
    assert answers[0].status_code in (200, 201)
    assert sorted(answer.get("Idempotency-Replayed", "") for answer in answers) == ["", "true", "true"]
    assert InvestmentModel.objects.count() == (path == "/models")
