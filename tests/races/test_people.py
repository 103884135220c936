"""Two administrators at once, and many guesses at once, each in a connection of their own."""

from functools import partial

import pytest
from django.test import Client

from ordergen.accounts.models import Throttle, User
from ordergen.accounts.services import person_disable, roles_change, user_create
from ordergen.audit.services import first_broken_link
from ordergen.core.errors import ConflictError, NotAllowedError

TRIALS = 8


def _administrators() -> list[str]:
    return [user.username for user in User.objects.filter(is_active=True) if "admin" in user.roles]


@pytest.mark.parametrize("by_command", [False, True])
def test_of_two_administrators_who_end_each_other_at_once_one_stays(person, at_once, by_command):
    for trial in range(TRIALS):
        ann, bob = person("admin", name=f"ann{trial}"), person("admin", name=f"bob{trial}")
        outcomes = at_once(
            partial(roles_change, person=bob, roles=["viewer"], by=None if by_command else ann),
            partial(person_disable, person=ann, by=None if by_command else bob),
        )

        assert len(_administrators()) == 1
        refused = [error for error in outcomes if error is not None]
        assert [type(error) for error in refused] in ([ConflictError], [NotAllowedError])
        User.objects.update(is_active=False)
    assert first_broken_link() is None


def test_of_two_who_create_the_same_name_at_once_one_does(at_once):
    create = partial(user_create, password="plough-copper-lantern", roles=["viewer"])
    outcomes = at_once(partial(create, username="Rosa"), partial(create, username="ROSA"))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ConflictError", "User"]


def test_guesses_at_once_are_counted_as_those_one_after_the_other(manager, at_once, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.SIGN_IN_TRIES = 5

    def guess(at: int) -> int:
        form = {"username": "maya", "password": f"guess {at}"}
        return Client(REMOTE_ADDR=f"10.0.0.{at}").post("/signin/", form).status_code

    outcomes = at_once(*(partial(guess, at) for at in range(12)))

    assert sorted(outcomes) == [422] * 5 + [429] * 7
    assert max(Throttle.objects.values_list("count", flat=True)) == 5
