"""API v2's webhooks."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema, Status

from ordergen.apis.auth import caller, needs
from ordergen.apis.conventions import Cursor, Limit, Page, PathId, Strict, page_of
from ordergen.apis.docs import errors
from ordergen.webhooks import services
from ordergen.webhooks.addresses import MAX_URL
from ordergen.webhooks.models import Webhook, WebhookAttempt, WebhookState

router = Router(tags=["webhooks"])
MANAGE = needs("webhook.manage", "webhooks:manage")
_AFTER = "Events behind this number; 0: from the first"


class WebhookIn(Strict):
    url: str = Field(max_length=MAX_URL, examples=["https://oms.example.org/ordergen"])
    kinds: list[str] = Field(
        [],
        max_length=services.MAX_KINDS,
        description="As `/events` has them; none: all",
        examples=[["rebalance.finished", "orders"]],
    )
    description: str = Field("", max_length=services.MAX_DESCRIPTION)
    after: int | None = Field(None, ge=0, le=2**62, description=f"{_AFTER}; null: only what happens from now on")


class ReplayIn(Strict):
    after: int = Field(ge=0, le=2**62, description=_AFTER)


class WebhookOut(Schema):
    id: str
    url: str
    kinds: list[str]
    description: str
    state: WebhookState
    why: str = Field(description="It is paused")
    cursor: int = Field(description="Every event up to this number was taken, or was none of those wanted")
    failures: int = Field(description="In a row")
    next_attempt_at: datetime
    created_at: datetime


class SecretOut(Schema):
    secret: str = Field(description="Verifies the signatures, by any library of standardwebhooks")


class AttemptOut(Schema):
    id: str
    seq: int
    event_id: str
    kind: str
    at: datetime
    milliseconds: int
    status: int | None = Field(description="Of HTTP; null where no answer came")
    fault: str = Field(description="Empty where the message was taken")


@router.get(
    "/webhooks",
    operation_id="ordergen_webhooks_api_list_webhooks",
    response=Page[WebhookOut],
    auth=MANAGE,
    openapi_extra=errors(),
)
def list_webhooks(request: HttpRequest, cursor: Cursor = "", limit: Limit = 50) -> dict[str, Any]:
    """Webhooks, the latest first, with how far each has come."""
    return page_of(Webhook.objects.all(), _shown, cursor=cursor, limit=limit, rising=False)


@router.post(
    "/webhooks",
    operation_id="ordergen_webhooks_api_create_webhook",
    response={201: WebhookOut},
    auth=MANAGE,
    openapi_extra=errors(),
)
def create_webhook(request: HttpRequest, payload: WebhookIn, response: HttpResponse) -> Status[dict[str, Any]]:
    """Events from now on (or behind `after`) are sent there, signed, in order, again and again until they are taken."""
    webhook = services.webhook_create(
        by=caller(request),
        url=payload.url,
        kinds=payload.kinds,
        description=payload.description,
        after=payload.after,
    )
    response["Location"] = f"/api/v2/webhooks/{webhook.pk}"
    return Status(HTTPStatus.CREATED, _shown(webhook))


@router.get(
    "/webhooks/{webhook_id}",
    operation_id="ordergen_webhooks_api_get_webhook",
    response=WebhookOut,
    auth=MANAGE,
    openapi_extra=errors(404),
)
def get_webhook(request: HttpRequest, webhook_id: PathId) -> dict[str, Any]:
    return _shown(services.webhook_get(webhook_id))


@router.get(
    "/webhooks/{webhook_id}/secret",
    operation_id="ordergen_webhooks_api_get_secret",
    response=SecretOut,
    auth=MANAGE,
    openapi_extra=errors(404),
)
def get_secret(request: HttpRequest, webhook_id: PathId) -> dict[str, str]:
    """What signs its messages. It is in no other answer."""
    return {"secret": services.secret_of(services.webhook_get(webhook_id))}


@router.delete(
    "/webhooks/{webhook_id}",
    operation_id="ordergen_webhooks_api_end_webhook",
    response={204: None},
    auth=MANAGE,
    openapi_extra=errors(404, 409),
)
def end_webhook(request: HttpRequest, webhook_id: PathId) -> Status[None]:
    """Ends it for good; the record of it and of its attempts stays."""
    services.webhook_end(by=caller(request), webhook_id=webhook_id)
    return Status(HTTPStatus.NO_CONTENT, None)


@router.post(
    "/webhooks/{webhook_id}/pause",
    operation_id="ordergen_webhooks_api_pause_webhook",
    response=WebhookOut,
    auth=MANAGE,
    openapi_extra=errors(404, 409),
)
def pause_webhook(request: HttpRequest, webhook_id: PathId) -> dict[str, Any]:
    """Sends nothing until it is resumed; what happens meanwhile is sent then."""
    return _shown(services.webhook_pause(by=caller(request), webhook_id=webhook_id))


@router.post(
    "/webhooks/{webhook_id}/resume",
    operation_id="ordergen_webhooks_api_resume_webhook",
    response=WebhookOut,
    auth=MANAGE,
    openapi_extra=errors(404, 409),
)
def resume_webhook(request: HttpRequest, webhook_id: PathId) -> dict[str, Any]:
    """Goes on where it stopped, at once."""
    return _shown(services.webhook_resume(by=caller(request), webhook_id=webhook_id))


@router.post(
    "/webhooks/{webhook_id}/replay",
    operation_id="ordergen_webhooks_api_replay_webhook",
    response=WebhookOut,
    auth=MANAGE,
    openapi_extra=errors(404, 409),
)
def replay_webhook(request: HttpRequest, webhook_id: PathId, payload: ReplayIn) -> dict[str, Any]:
    """Sends every wanted event behind a number again, each under the id it had."""
    return _shown(services.webhook_replay(by=caller(request), webhook_id=webhook_id, after=payload.after))


@router.get(
    "/webhooks/{webhook_id}/attempts",
    operation_id="ordergen_webhooks_api_list_attempts",
    response=Page[AttemptOut],
    auth=MANAGE,
    openapi_extra=errors(404),
)
def list_attempts(request: HttpRequest, webhook_id: PathId, cursor: Cursor = "", limit: Limit = 50) -> dict[str, Any]:
    """What was sent and how it was answered, the latest first."""
    attempts = services.webhook_get(webhook_id).attempts.all()
    return page_of(attempts, _attempt_out, cursor=cursor, limit=limit, rising=False)


def _shown(webhook: Webhook) -> dict[str, Any]:
    return {name: getattr(webhook, name) for name in WebhookOut.model_fields}


def _attempt_out(attempt: WebhookAttempt) -> dict[str, Any]:
    return {name: getattr(attempt, name) for name in AttemptOut.model_fields}
