"""API v2's view of the caller: who they are, and their keys."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import WithJsonSchema

from ordergen.accounts.keys import MAX_DAYS, MAX_NAME_LENGTH, SCOPES, create_api_key, own_api_key, revoke_api_key
from ordergen.accounts.models import ApiKey
from ordergen.accounts.roles import PERMISSIONS, Role
from ordergen.apis.auth import caller, needs, needs_person
from ordergen.apis.conventions import PathId, Strict
from ordergen.apis.docs import errors
from ordergen.apis.idempotency import answers_a_secret

router = Router(tags=["account"])
READ = needs("book.read", "book:read")
PERSON = needs_person("book.read")
Permission = Annotated[str, WithJsonSchema({"type": "string", "enum": list(PERMISSIONS)})]
Scope = Annotated[str, WithJsonSchema({"type": "string", "enum": list(SCOPES)})]  # the service checks it


class Me(Schema):
    username: str
    name: str
    roles: list[Role]
    permissions: list[Permission]


class KeyIn(Strict):
    name: str = Field(max_length=MAX_NAME_LENGTH, examples=["nightly import"])
    scopes: list[Scope] = Field(max_length=20, examples=[["models:read", "rebalances:write"]])
    days: int = Field(description=f"Until it expires, {MAX_DAYS} at most", examples=[90])


class KeyOut(Schema):
    id: str
    name: str
    prefix: str = Field(description="The readable beginning, to tell keys apart")
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewKey(KeyOut):
    key: str = Field(description="The key itself, shown this once")


@router.get("/me", operation_id="ordergen_accounts_api_get_me", response=Me, auth=READ, openapi_extra=errors())
def get_me(request: HttpRequest) -> dict[str, Any]:
    """Who the caller is, and what their roles allow."""
    user = caller(request)
    allowed = sorted(permission for permission in PERMISSIONS if user.can(permission))
    return {"username": user.username, "name": user.display_name, "roles": user.roles, "permissions": allowed}


@router.get(
    "/keys", operation_id="ordergen_accounts_api_list_keys", response=list[KeyOut], auth=PERSON, openapi_extra=errors()
)
def list_keys(request: HttpRequest) -> list[ApiKey]:
    """One's own keys, the latest first; a signed-in session is needed here, for a key must not beget keys."""
    return list(caller(request).api_keys.order_by("-created_at", "-pk"))


@router.post(
    "/keys",
    operation_id="ordergen_accounts_api_create_key",
    response={201: NewKey},
    auth=PERSON,
    openapi_extra=errors(409),
)
@answers_a_secret
def create_key(request: HttpRequest, payload: KeyIn) -> Status[dict[str, Any]]:
    """A new key for oneself. It can do what its scopes say, and never more than its owner's roles."""
    key, plain = create_api_key(user=caller(request), name=payload.name, scopes=payload.scopes, days=payload.days)
    shown = {name: getattr(key, name) for name in KeyOut.model_fields}
    return Status(HTTPStatus.CREATED, shown | {"key": plain})


@router.delete(
    "/keys/{key_id}",
    operation_id="ordergen_accounts_api_delete_key",
    response={204: None},
    auth=PERSON,
    openapi_extra=errors(404, 409),
)
def delete_key(request: HttpRequest, key_id: PathId) -> Status[None]:
    """Revokes one of one's own keys at once; the record of it stays."""
    revoke_api_key(key=own_api_key(user=caller(request), key_id=key_id), by=caller(request))
    return Status(HTTPStatus.NO_CONTENT, None)
