"""Whether a name and a password are somebody's.

Who is not let in learns nothing about people: a name that nobody has, a wrong password, a person who was disabled and a
name that was tried too often are answered in the same words, after the same work.

    count     the try, for the name as it was typed (or the person's own browser) and for the address; who used the
              tries of an address up goes no further, which tells them nothing about people
    hash      once, whatever is known of the name by now
    record    what came of it, in the audit trail, without the password
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from ordergen.accounts.client import Client, client_of, printable
from ordergen.accounts.models import User
from ordergen.accounts.names import canonical
from ordergen.accounts.sign_in.authenticator import is_right
from ordergen.accounts.sign_in.known_browser import known_as
from ordergen.accounts.sign_in.throttle import Allowance, CountedTry, ThrottledError, count_try, forgive
from ordergen.audit.services import record, recorded

_SHOWN_OF_A_NAME = 3  # of one that nobody has: people type their password there


def right_person(request: HttpRequest, name: str, password: str, code: str | None) -> User | None:
    """Whose name and password these are, and whose authenticator shows `code`, which counts where they have one.

    None where they are nobody's; no code is asked for where `code` is None. Raises ThrottledError.
    """
    client = client_of(request)
    person = _tries_of(request, name)
    place = Allowance.of("address", client.network, settings.SIGN_IN_TRIES_PER_ADDRESS)
    try:
        made = count_try(person, place)
    except ThrottledError as refused:
        if refused.allowance == person:
            make_password(password)  # the work that a look at the password would have been
        raise
    user = authenticate(request, username=name, password=password)
    if not isinstance(user, User) or not (code is None or is_right(user, code)):
        _record_failure(name, client, made)
        return None
    forgive(made)
    return user


def _tries_of(request: HttpRequest, name: str) -> Allowance:
    """Whose tries are counted: this sign-in's where the person is in, this browser's where they were, else the name's.

    So nobody elsewhere, by wrong guesses, keeps the person from going on where they are known.
    """
    row = request.sign_in  # type: ignore[attr-defined]  # set by a middleware
    if row is not None and canonical(row.user.username) == canonical(name):
        return Allowance.of("sign-in", row.pk, settings.SIGN_IN_TRIES)
    if which := known_as(request, name):
        return Allowance.of("browser", which, settings.SIGN_IN_TRIES)
    return Allowance.of("person", canonical(name), settings.SIGN_IN_TRIES)


def _record_failure(name: str, client: Client, made: CountedTry) -> None:
    known = User.objects.named(name)
    shown = known.username if known else f"{printable(name, _SHOWN_OF_A_NAME)}… ({len(name)} characters)"
    with recorded():
        record("sign_in.failed", known, f"Sign-in as {shown} failed", by=None, detail=told(client))
        if made.is_last:
            minutes = settings.SIGN_IN_LOCK_MINUTES
            words = f"Sign-in as {shown}, or from its address, is refused for {minutes} minutes"
            record("sign_in.locked", known, words, by=None, detail=told(client))


def told(client: Client) -> dict[str, Any]:
    """What the audit trail keeps of where somebody was."""
    return {"address": client.address, "device": client.device}
