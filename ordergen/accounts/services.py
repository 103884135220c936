"""Being in charge of people: who there is, what they may do, and how that ends. Each change has its event.

Whoever changes a right is asked again inside the transaction whether they may, for another administrator may have been
quicker; `recorded` makes all such changes take turns, and so the last administrator stays one.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from ordergen.accounts.keys import revoke_all_keys
from ordergen.accounts.models import SignIn, User
from ordergen.accounts.names import RESERVED, canonical, fault, look
from ordergen.accounts.roles import Role
from ordergen.accounts.sign_in.authenticator import authenticator_remove
from ordergen.accounts.sign_in.sessions import end
from ordergen.audit.services import record, recorded
from ordergen.core.db import atomic
from ordergen.core.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError

_WORDS = 4  # of a one-time password, 24 random bits each


def user_create(*, username: str, password: str, roles: Sequence[str], by: User | None = None) -> User:
    """A person who may sign in with `password` and do what `roles` allow.

    Raises InvalidInputError (a role that does not exist, a password too weak, an unusable name) and ConflictError.
    """
    return _create(username, password, roles, by=by, is_one_time=False)


def person_invite(*, username: str, roles: Sequence[str], by: User | None) -> tuple[User, str]:
    """A person, and a password with which they choose one of their own; it is shown once and kept nowhere.

    Raises InvalidInputError and ConflictError.
    """
    password = one_time_password()
    return _create(username, password, roles, by=by, is_one_time=True), password


def one_time_password() -> str:
    return "-".join(secrets.token_hex(3) for _ in range(_WORDS))


def _create(username: str, password: str, roles: Sequence[str], *, by: User | None, is_one_time: bool) -> User:
    user = User(username=username, roles=_known(roles), must_change_password=is_one_time)
    _check_name(username)
    _check_password(password, user)
    user.set_password(password)
    with recorded():
        _must_still(by)
        _no_other_like(username)
        try:
            with atomic():
                user.save(force_insert=True)
        except IntegrityError as error:  # the tables hold names apart, whoever else may write to them
            raise _taken(username) from error
        record("user.created", user, f"{username}: {', '.join(user.roles)}", by=by)
    return user


def _known(roles: Sequence[str]) -> list[str]:
    if unknown := set(roles) - set(Role.values):
        choices = ", ".join(Role.values)
        raise InvalidInputError(f"No role {min(unknown)}: roles are {choices}.", fields={"roles": f"one of {choices}"})
    return sorted(set(roles))


def _check_name(username: str) -> None:
    try:
        User.username_validator(username)
    except ValidationError as error:
        raise _invalid("username", " ".join(error.messages)) from error
    if words := fault(username):
        raise _invalid("username", words)


def _check_password(password: str, user: User, field: str = "password") -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise _invalid(field, " ".join(error.messages)) from error


def _invalid(field: str, words: str) -> InvalidInputError:
    return InvalidInputError(words, fields={field: words})


def _no_other_like(username: str) -> None:
    """Raises ConflictError where a name is somebody's in another case, or looks like somebody's."""
    for other in User.objects.values_list("username", flat=True):
        if canonical(other) == canonical(username):
            raise _taken(other)
        if look(other) == look(username):
            words = f"This name looks like that of {other}; choose one that nobody takes for it."
            raise ConflictError(words, fields={"username": words})


def _taken(name: str) -> ConflictError:
    words = f"There is a user {name} already."
    return ConflictError(words, fields={"username": words})


def person_get(person_id: str) -> User:
    """Raises NotFoundError."""
    found = User.objects.filter(pk=person_id).first()
    if found is None:
        raise NotFoundError("There is no such person.")
    return found


def person_named(name: str) -> User:
    """By their name, in any case; raises NotFoundError."""
    found = User.objects.named(name)
    if found is None:
        raise NotFoundError(f"There is no person {name}.")
    return found


def roles_change(*, person: User, roles: Sequence[str], by: User | None, seen: Sequence[str] | None = None) -> None:
    """From the next request on the person may do what `roles` allow, their keys included; nothing else ends.

    `seen` are the roles that were to be changed. Raises InvalidInputError, NotAllowedError (one's own roles) and
    ConflictError (the last administrator, or other roles by now).
    """
    wanted = _known(roles)
    with recorded():
        _must_be_another(person, by)
        person.refresh_from_db()
        before = list(person.roles)
        if seen is not None and sorted(seen) != sorted(before):
            raise ConflictError(f"Somebody else changed the roles of {person.username} meanwhile. Look at them again.")
        if sorted(before) == wanted:
            return
        person.roles = wanted
        person.save(update_fields=["roles"])
        _an_administrator_must_stay(before)
        words = f"{person.username}: {', '.join(before) or 'no role'} → {', '.join(wanted) or 'no role'}"
        record("user.roles_changed", person, words, by=by, detail={"before": before, "after": wanted})


def person_disable(*, person: User, by: User | None) -> None:
    """At once: signed out everywhere, every key revoked, and no way in. What the person did stays as it is.

    Raises NotAllowedError (oneself) and ConflictError (the last administrator).
    """
    with recorded():
        _must_be_another(person, by)
        person.refresh_from_db()
        if not User.objects.filter(pk=person.pk, is_active=True).update(is_active=False):
            return
        ended = end(SignIn.objects.filter(user=person))
        keys = revoke_all_keys(user=person, by=by)
        _an_administrator_must_stay(person.roles)
        words = f"{person.username} was disabled; {ended} sign-ins ended, {keys} keys revoked"
        record("user.disabled", person, words, by=by)


def person_enable(*, person: User, by: User | None) -> None:
    """The person may sign in again, with the password and the roles of before; keys that were revoked stay so."""
    with recorded():
        _must_still(by)
        if User.objects.filter(pk=person.pk, is_active=False).update(is_active=True):
            end(SignIn.objects.filter(user=person))  # of one that began while the person was being disabled
            record("user.enabled", person, f"{person.username} was enabled", by=by)


def password_reset(*, person: User, by: User | None) -> str:
    """A one-time password for somebody who lost theirs; the old one and every sign-in end. It is shown once."""
    password = one_time_password()
    with recorded():
        _must_be_another(person, by)
        person.set_password(password)
        person.must_change_password = True
        person.save(update_fields=["password", "must_change_password"])
        end(SignIn.objects.filter(user=person))
        record("password.reset", person, f"{person.username} was given a one-time password", by=by)
    return password


def authenticator_take_away(*, person: User, by: User | None) -> bool:
    """Of somebody who lost the app; whether they had one. Raises NotAllowedError (one's own, on another page)."""
    with recorded():
        _must_be_another(person, by)
        return authenticator_remove(user=person, by=by)


def password_change(*, person: User, password: str, keep: SignIn | None) -> None:
    """A password of one's own choice; every other sign-in than `keep` ends. Raises InvalidInputError."""
    _check_password(password, person, "new_password")
    if person.check_password(password):
        raise _invalid("new_password", "This is the password that you have.")
    person.set_password(password)
    person.must_change_password = False
    with recorded():
        person.save(update_fields=["password", "must_change_password"])
        ended = end(SignIn.objects.filter(user=person).exclude(pk=keep.pk if keep else None))
        words = f"{person.username} chose another password; {ended} other sign-ins ended"
        record("password.changed", person, words, by=person)


def _must_still(by: User | None) -> None:
    """Whoever does this may do it now; without a person it is the operator of the machine, by the command line."""
    if by is not None:
        User.objects.get(pk=by.pk).must("people.manage")


def _must_be_another(person: User, by: User | None) -> None:
    _must_still(by)
    if by is not None and by.pk == person.pk:
        raise NotAllowedError("Your own rights are changed by another administrator.")
    if person.canonical in RESERVED and not person.has_usable_password():
        raise NotAllowedError(f"{person.username} is nobody: ORDERGEN_API_AUTH decides whether it acts.")


def _an_administrator_must_stay(roles_before: Sequence[str]) -> None:
    """Inside the transaction, after a change to somebody with these roles."""
    if Role.ADMIN not in roles_before:
        return
    if not any(Role.ADMIN in roles for roles in User.objects.filter(is_active=True).values_list("roles", flat=True)):
        raise ConflictError("This is the last administrator. Make somebody else one first.")
