"""API v2 for administrators who signed in: people, roles, their sign-ins and keys. A key manages nobody."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from ordergen.accounts import services
from ordergen.accounts.api import KeyOut
from ordergen.accounts.keys import revoke_api_key
from ordergen.accounts.models import ApiKey, User
from ordergen.accounts.names import MAX_LENGTH
from ordergen.accounts.selectors import PersonView, people, person_views
from ordergen.accounts.sign_in.sessions import end_sessions
from ordergen.apis.auth import caller, needs_person
from ordergen.apis.conventions import Cursor, Limit, Page, PathId, Strict, page_of
from ordergen.apis.docs import errors
from ordergen.core.errors import NotFoundError

router = Router(tags=["people"])
ADMIN = needs_person("people.manage")


class PersonOut(Schema):
    id: str
    username: str
    roles: list[str]
    is_active: bool
    last_sign_in_at: datetime | None
    n_sign_ins: int = Field(description="Browsers in which the person is signed in now")
    n_keys: int = Field(description="API keys in force")


class RolesIn(Strict):
    roles: list[str] = Field(max_length=20, examples=[["approver"]])
    seen: list[str] | None = Field(
        None, max_length=20, description="The roles that are changed; 409 where they are others"
    )


class PersonIn(Strict):
    username: str = Field(max_length=MAX_LENGTH, examples=["rosa"])
    roles: list[str] = Field(max_length=20, examples=[["approver"]])


class OneTime(Schema):
    one_time_password: str = Field(description="Shown this once; whoever signs in with it chooses another first")


class NewPerson(PersonOut, OneTime):
    pass


class Ended(Schema):
    n_ended: int


def _shown(view: PersonView) -> dict[str, Any]:
    person = view.person
    names = ("username", "roles", "is_active")
    counts = {"n_sign_ins": view.n_sign_ins, "n_keys": view.n_keys}
    return {"id": person.pk, "last_sign_in_at": person.last_login} | counts | {n: getattr(person, n) for n in names}


def _out(person: User) -> dict[str, Any]:
    return _shown(person_views([person])[0])


@router.get("/people", operation_id="list_people", response=Page[PersonOut], auth=ADMIN, openapi_extra=errors())
def list_people(request: HttpRequest, cursor: Cursor = "", limit: Limit = 50) -> dict[str, Any]:
    """Everybody, who came first first."""
    page = page_of(people(), lambda person: {"person": person}, cursor=cursor, limit=limit)
    return page | {"items": [_shown(view) for view in person_views(item["person"] for item in page["items"])]}


@router.post("/people", operation_id="create_person", response={201: NewPerson}, auth=ADMIN, openapi_extra=errors(409))
def create_person(request: HttpRequest, payload: PersonIn) -> Status[dict[str, Any]]:
    """Somebody new, with a one-time password to hand over."""
    person, once = services.person_invite(username=payload.username, roles=payload.roles, by=caller(request))
    return Status(HTTPStatus.CREATED, _out(person) | {"one_time_password": once})


@router.get("/people/{person_id}", operation_id="get_person", response=PersonOut, auth=ADMIN, openapi_extra=errors(404))
def get_person(request: HttpRequest, person_id: PathId) -> dict[str, Any]:
    """One person."""
    return _out(services.person_get(person_id))


@router.put(
    "/people/{person_id}/roles",
    operation_id="set_person_roles",
    response=PersonOut,
    auth=ADMIN,
    openapi_extra=errors(404, 409),
)
def set_person_roles(request: HttpRequest, person_id: PathId, payload: RolesIn) -> dict[str, Any]:
    """What the person may do from their next request on; the last administrator stays one."""
    person = services.person_get(person_id)
    services.roles_change(person=person, roles=payload.roles, by=caller(request), seen=payload.seen)
    return _out(person)


@router.post(
    "/people/{person_id}/disable",
    operation_id="disable_person",
    response=PersonOut,
    auth=ADMIN,
    openapi_extra=errors(404, 409),
)
def disable_person(request: HttpRequest, person_id: PathId) -> dict[str, Any]:
    """Signs the person out everywhere, revokes every key, and lets them in no more."""
    services.person_disable(person=services.person_get(person_id), by=caller(request))
    return _out(services.person_get(person_id))


@router.post(
    "/people/{person_id}/enable",
    operation_id="enable_person",
    response=PersonOut,
    auth=ADMIN,
    openapi_extra=errors(404),
)
def enable_person(request: HttpRequest, person_id: PathId) -> dict[str, Any]:
    """The person may sign in again; keys that were revoked stay so."""
    services.person_enable(person=services.person_get(person_id), by=caller(request))
    return _out(services.person_get(person_id))


@router.post(
    "/people/{person_id}/sign-out",
    operation_id="sign_person_out",
    response=Ended,
    auth=ADMIN,
    openapi_extra=errors(404),
)
def sign_person_out(request: HttpRequest, person_id: PathId) -> dict[str, int]:
    """Ends every sign-in of the person; their keys stay."""
    return {"n_ended": end_sessions(services.person_get(person_id), by=caller(request))}


@router.post(
    "/people/{person_id}/password",
    operation_id="reset_person_password",
    response=OneTime,
    auth=ADMIN,
    openapi_extra=errors(404),
)
def reset_person_password(request: HttpRequest, person_id: PathId) -> dict[str, str]:
    """A one-time password for somebody who lost theirs; the old one and every sign-in end."""
    person = services.person_get(person_id)
    return {"one_time_password": services.password_reset(person=person, by=caller(request))}


@router.delete(
    "/people/{person_id}/authenticator",
    operation_id="remove_person_authenticator",
    response={204: None},
    auth=ADMIN,
    openapi_extra=errors(404),
)
def remove_person_authenticator(request: HttpRequest, person_id: PathId) -> Status[None]:
    """Of somebody who lost the app that shows codes: the person signs in without one."""
    services.authenticator_take_away(person=services.person_get(person_id), by=caller(request))
    return Status(HTTPStatus.NO_CONTENT, None)


@router.get(
    "/people/{person_id}/keys",
    operation_id="list_person_keys",
    response=list[KeyOut],
    auth=ADMIN,
    openapi_extra=errors(404),
)
def list_person_keys(request: HttpRequest, person_id: PathId) -> list[ApiKey]:
    """The keys of a person, the latest first."""
    return list(services.person_get(person_id).api_keys.order_by("-created_at", "-pk"))


@router.delete(
    "/people/{person_id}/keys/{key_id}",
    operation_id="revoke_person_key",
    response={204: None},
    auth=ADMIN,
    openapi_extra=errors(404),
)
def revoke_person_key(request: HttpRequest, person_id: PathId, key_id: PathId) -> Status[None]:
    """Revokes a key of anybody at once; the record of it stays."""
    key = services.person_get(person_id).api_keys.filter(pk=key_id).first()
    if key is None:
        raise NotFoundError("The person has no such key.")
    revoke_api_key(key=key, by=caller(request))
    return Status(HTTPStatus.NO_CONTENT, None)
