"""Making people."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from ordergen.accounts.models import User
from ordergen.accounts.roles import Role
from ordergen.audit.services import record, recorded
from ordergen.core.errors import ConflictError, InvalidInputError


def user_create(*, username: str, password: str, roles: Sequence[str], by: User | None = None) -> User:
    """A person who may sign in with `password` and do what `roles` allow.

    Raises InvalidInputError (a role that does not exist, a password too weak, an unusable name) and ConflictError.
    """
    if unknown := set(roles) - set(Role.values):
        choices = ", ".join(Role.values)
        raise InvalidInputError(f"No role {min(unknown)}: roles are {choices}.", fields={"roles": f"one of {choices}"})
    user = User(username=username, roles=sorted(set(roles)))
    try:
        User.username_validator(username)
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidInputError(" ".join(error.messages)) from error
    user.set_password(password)
    with recorded():
        if User.objects.filter(username=username).exists():
            raise ConflictError(f"There is a user {username} already.")
        user.save(force_insert=True)
        record("user.created", user, f"{username}: {', '.join(user.roles)}", by=by)
    return user
