"""What a command is, how it fails, and for whom it acts."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ordergen.accounts.models import User


class CommandError(Exception):
    """What went wrong, in one line."""


def _without_arguments(_parser: argparse.ArgumentParser) -> None:
    pass


def _nothing(_options: argparse.Namespace) -> None:
    pass


@dataclass(frozen=True)
class Command:
    """`text` is what the help says of it; `arguments` adds its own to its parser, and `run` is given what they were.

    `check` comes before the database is touched, which is of this version when `run` begins.
    """

    name: str
    text: str
    run: Callable[[argparse.Namespace], None]
    arguments: Callable[[argparse.ArgumentParser], None] = _without_arguments
    epilog: str | None = None
    check: Callable[[argparse.Namespace], None] = _nothing
    needs_django: bool = True
    needs_database: bool = True


def person(username: str | None, role: str = "manager") -> User:
    """The named person, or the only active one of this role; raises CommandError where that is not one person."""
    from ordergen.accounts.models import User

    active = User.objects.filter(is_active=True)
    if username:
        named = User.objects.named(username)
        people = [named] if named and named.is_active else []
    else:
        people = [user for user in active if role in user.roles]
    if people:
        found = f"there are {len(people)}: name one with --as"
    else:
        there_is = f"no active user {username}" if username else "there is none"
        found = f"{there_is}; make one with `ordergen create-user {username or 'NAME'} --role {role}`"
    if len(people) != 1:
        raise CommandError(f"Who does this? Needs a person with the role {role}; {found}.")
    return people[0]
