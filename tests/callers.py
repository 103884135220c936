"""Ways in: a client signed in as somebody, a client with a key, and one that solves what it launches."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client

from ordergen.accounts.keys import SCOPES, create_api_key
from ordergen.accounts.models import User
from rebalance_app.runs import wait


class Api:
    """A caller with a key: `api.get("/models")` asks API v1, `.post` sends JSON; numbers may be written as text."""

    def __init__(self, prefix: str, **headers: str) -> None:
        self.client = Client(raise_request_exception=False)
        self.prefix = prefix
        self.headers = headers

    def request(
        self, method: str, path: str, body: Any = None, *, raw: str | bytes = b"", **headers: str
    ) -> HttpResponse:
        data = raw if body is None else json.dumps(body)
        content_type = headers.pop("content_type", "application/json" if data else "")
        named = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.client.generic(method, self.prefix + path, data, content_type=content_type, headers=named)
        return _whole(response) if response.streaming else response

    def get(self, path: str, **headers: str) -> HttpResponse:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: Any = None, **more: Any) -> HttpResponse:
        return self.request("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> HttpResponse:
        return self.request("PUT", path, body, **more)

    def delete(self, path: str, body: Any = None, **more: Any) -> HttpResponse:
        return self.request("DELETE", path, body, **more)


def _whole(streamed: StreamingHttpResponse) -> HttpResponse:
    """A streamed answer as its caller has it in the end."""
    response = HttpResponse(b"".join(streamed.streaming_content), status=streamed.status_code, headers=streamed.headers)
    response.json = lambda: json.loads(response.content)
    return response


@pytest.fixture
def key_for() -> Callable[..., str]:
    """The plain text of a key with every scope, or with those named."""

    def make(user: User, *scopes: str) -> str:
        return create_api_key(user=user, name="test", scopes=scopes or tuple(SCOPES), days=1)[1]

    return make


@pytest.fixture
def api(manager: User, key_for: Callable[..., str], no_files: None) -> Api:
    """API v1 for the manager."""
    return Api("/api/v1", **{"X-API-Key": key_for(manager)})


@pytest.fixture
def anonymous(db: None, no_files: None) -> Api:
    return Api("/api/v1")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, run_worker: Callable[..., Any]) -> None:
    """A worker that does everything queued the first time a trigger pauses to wait."""
    from rebalance_app.models import Rebalance, RunState

    def work(_seconds: float) -> None:
        for run in Rebalance.objects.filter(state__in=(RunState.QUEUED, RunState.RUNNING)):
            run_worker(run)

    monkeypatch.setattr(wait, "_sleep", work)


@pytest.fixture
def no_files(settings, tmp_path):
    """These tests serve no static files, so nobody needs to look for them."""
    settings.STATIC_ROOT = str(tmp_path)
    settings.WHITENOISE_AUTOREFRESH = True
