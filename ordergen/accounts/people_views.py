"""People and roles, for administrators. A one-time password is shown once, in the answer that made it."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.contrib import messages
from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone

from ordergen.accounts import services
from ordergen.accounts.forms import PersonForm, RolesForm
from ordergen.accounts.keys import revoke_api_key
from ordergen.accounts.models import Authenticator, User
from ordergen.accounts.selectors import people, person_views, sign_in_views
from ordergen.accounts.sign_in.asking import needs_confirmation
from ordergen.accounts.sign_in.sessions import end_sessions
from ordergen.core.errors import ConflictError, InvalidInputError, NotFoundError
from ordergen.web.http import SignedInRequest, View, page, refuses_nul
from ordergen.web.keyset import Keyset, read_page

PAGE_SIZE = 100
MANAGE = "people.manage"
Deed = Callable[..., str]  # takes the request, the person, and what else the address names


@page("GET", permission=MANAGE)
def people_list(request: SignedInRequest) -> HttpResponse:
    """Everybody by name, and how they are in."""
    found = read_page(people(), Keyset("username"), PAGE_SIZE, after=request.GET.get("after") or None)
    similar = people().filter(canonical=None).values_list("username", flat=True)
    context = {"rows": person_views(found.rows), "next": found.next, "similar": list(similar)}
    return render(request, "accounts/people.html", context)


@refuses_nul("username")
@needs_confirmation
@page("GET", "POST", permission=MANAGE)
def person_new(request: SignedInRequest) -> HttpResponse:
    """Somebody new, with a one-time password to hand over."""
    form = PersonForm(request.POST or None)
    if form.is_bound and form.is_valid():
        try:
            person, once = services.person_invite(**form.cleaned_data, by=request.user)
        except (InvalidInputError, ConflictError) as error:
            _tell_at_fields(form, error)
        else:
            return _show(request, person, once=once, status=HTTPStatus.CREATED)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK
    return render(request, "accounts/person_new.html", {"form": form}, status=status)


def _tell_at_fields(form: Form, error: InvalidInputError | ConflictError) -> None:
    for field, told in (error.fields or {"": error.message}).items():
        form.add_error(field if field in form.fields else None, told)


@page("GET", permission=MANAGE)
def person_detail(request: SignedInRequest, person_id: str) -> HttpResponse:
    """One person: roles, sign-ins, keys."""
    return _show(request, services.person_get(person_id))


def _show(
    request: SignedInRequest, person: User, *, form: Form | None = None, once: str = "", status: int = HTTPStatus.OK
) -> HttpResponse:
    roles = RolesForm(initial={"roles": person.roles, "seen": ",".join(person.roles)})
    context = {
        "view": person_views([person])[0],
        "person": person,
        "form": form or roles,
        "once": once,
        "sign_ins": sign_in_views(person),
        "keys": person.api_keys.order_by("-pk"),
        "now": timezone.now(),
        "has_authenticator": Authenticator.objects.filter(user=person).exists(),
        "is_oneself": person.pk == request.user.pk,
    }
    return render(request, "accounts/person.html", context, status=status)


@needs_confirmation
@page("POST", permission=MANAGE)
def person_roles(request: SignedInRequest, person_id: str) -> HttpResponse:
    """Other roles, from the person's next request on."""
    person, form = services.person_get(person_id), RolesForm(request.POST)
    if not form.is_valid():
        return _show(request, person, form=form, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    wanted, seen = form.cleaned_data["roles"], form.cleaned_data["seen"]
    services.roles_change(person=person, roles=wanted, by=request.user, seen=seen.split(",") if seen else [])
    messages.success(request, f"The roles of {person.username} are changed.")
    return redirect("person", person.pk)


def _deed(deed: Deed) -> View:
    """A button on a person's page: does it, says it, and shows the person again."""

    @needs_confirmation
    @page("POST", permission=MANAGE)
    def view(request: SignedInRequest, person_id: str, **more: str) -> HttpResponse:
        person = services.person_get(person_id)
        messages.success(request, deed(request, person, **more))
        return redirect("person", person.pk)

    return view


def _disable(request: SignedInRequest, person: User) -> str:
    services.person_disable(person=person, by=request.user)
    return f"{person.username} is disabled: signed out everywhere, and no key opens anything."


def _enable(request: SignedInRequest, person: User) -> str:
    services.person_enable(person=person, by=request.user)
    return f"{person.username} may sign in again."


def _sign_out(request: SignedInRequest, person: User) -> str:
    ended = end_sessions(person, by=request.user)
    return f"{person.username} is signed out of {ended} browser{'' if ended == 1 else 's'}."


def _revoke(request: SignedInRequest, person: User, key_id: str) -> str:
    key = person.api_keys.filter(pk=key_id).first()
    if key is None:
        raise NotFoundError(f"{person.username} has no such key.")
    revoke_api_key(key=key, by=request.user)
    return f"The key {key.name} of {person.username} opens nothing any more."


def _without_authenticator(request: SignedInRequest, person: User) -> str:
    services.authenticator_take_away(person=person, by=request.user)
    return f"{person.username} signs in without a code now."


@needs_confirmation
@page("POST", permission=MANAGE)
def person_password(request: SignedInRequest, person_id: str) -> HttpResponse:
    """A one-time password for somebody who lost theirs."""
    person = services.person_get(person_id)
    return _show(request, person, once=services.password_reset(person=person, by=request.user))


urlpatterns = [
    path("", people_list, name="people"),
    path("new/", person_new, name="person_new"),
    path("<str:person_id>/", person_detail, name="person"),
    path("<str:person_id>/roles/", person_roles, name="person_roles"),
    path("<str:person_id>/disable/", _deed(_disable), name="person_disable"),
    path("<str:person_id>/enable/", _deed(_enable), name="person_enable"),
    path("<str:person_id>/sign-out/", _deed(_sign_out), name="person_sign_out"),
    path("<str:person_id>/authenticator/remove/", _deed(_without_authenticator), name="person_authenticator_end"),
    path("<str:person_id>/password/", person_password, name="person_password"),
    path("<str:person_id>/keys/<str:key_id>/revoke/", _deed(_revoke), name="person_key_revoke"),
]
