"""`ordergen people`: who there is, and being in charge of them where no page can be reached.

The operator of the machine acts, as "system" in the audit trail; what holds on the page holds here too.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ordergen.ops.cli.command import Command

if TYPE_CHECKING:
    from ordergen.accounts.models import User


def _arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(required=True, metavar="WHAT", dest="what")
    everybody = what.add_parser("list", help="everybody, with roles, open sign-ins and keys in force")
    everybody.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    roles = what.add_parser("roles", help="may do what these roles allow, from the next request on")
    roles.add_argument("username")
    roles.add_argument("roles", nargs="*", metavar="ROLE", help="none: may do nothing")
    for name, text in _DEEDS.items():
        what.add_parser(name, help=text).add_argument("username")


_DEEDS = {
    "disable": "signs out everywhere, revokes every key, lets in no more",
    "enable": "may sign in again",
    "sign-out": "signs out everywhere",
    "revoke-keys": "revokes every key",
    "remove-authenticator": "signs in without a code, for who lost the app",
    "new-password": "prints a one-time password; the old one and every sign-in end",
}


def _people(options: argparse.Namespace) -> None:
    from ordergen.accounts.services import person_named

    if options.what == "list":
        _list(options)
        return
    print(_do(options, person_named(options.username)))


def _list(options: argparse.Namespace) -> None:
    from ordergen.accounts.selectors import people, person_views

    rows = [
        {
            "name": view.person.username,
            "roles": view.person.roles,
            "active": view.person.is_active,
            "last_sign_in": view.person.last_login.isoformat() if view.person.last_login else None,
            "signed_in": view.n_sign_ins,
            "keys": view.n_keys,
            "name_like_another": view.is_like_another,
        }
        for view in person_views(people().order_by("username"))
    ]
    print(json.dumps(rows) if options.json else "\n".join(map(_line, rows)))


def _line(row: dict[str, Any]) -> str:
    state = "" if row["active"] else "  disabled"
    like = "  (its name is another person's in another case)" if row["name_like_another"] else ""
    counts = f"signed in {row['signed_in']}, keys {row['keys']}"
    return f"{row['name']:20} {','.join(row['roles']) or '-':30} {counts}{state}{like}"


def _do(options: argparse.Namespace, person: User) -> str:
    """Does what was asked for and says so, in one line."""
    from ordergen.accounts import services
    from ordergen.accounts.keys import revoke_all_keys
    from ordergen.accounts.sign_in.sessions import end_sessions

    name = person.username
    match options.what:
        case "roles":
            services.roles_change(person=person, roles=options.roles, by=None)
            said = f"{name}: {', '.join(person.roles) or 'no role'}"
        case "disable":
            services.person_disable(person=person, by=None)
            said = f"{name} is disabled"
        case "enable":
            services.person_enable(person=person, by=None)
            said = f"{name} may sign in again"
        case "sign-out":
            said = f"{name} is signed out of {end_sessions(person, by=None)} browsers"
        case "revoke-keys":
            said = f"{revoke_all_keys(user=person, by=None)} keys of {name} are revoked"
        case "remove-authenticator":
            had = services.authenticator_take_away(person=person, by=None)
            said = f"{name} signs in without a code{'' if had else ', as before'}"
        case "new-password":
            said = services.password_reset(person=person, by=None)
    return said


COMMAND = Command("people", "who there is: list, roles, disable, enable, sign-out, revoke-keys", _people, _arguments)
