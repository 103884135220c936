"""Who may do what: one table, asked by pages, API and command line alike."""

from __future__ import annotations

from django.db.models import TextChoices


class Role(TextChoices):
    VIEWER = "viewer", "Viewer"
    MANAGER = "manager", "Portfolio manager"
    APPROVER = "approver", "Approver"
    AUDITOR = "auditor", "Auditor"
    ADMIN = "admin", "Administrator"


PERMISSIONS: dict[str, frozenset[Role]] = {
    "book.read": frozenset(Role),
    "book.import": frozenset({Role.MANAGER, Role.ADMIN}),
    "model.edit": frozenset({Role.MANAGER}),
    "rebalance.launch": frozenset({Role.MANAGER}),
    "order.decide": frozenset({Role.APPROVER}),
    "people.manage": frozenset({Role.ADMIN}),
    "audit.read": frozenset({Role.AUDITOR, Role.ADMIN}),
    "webhook.manage": frozenset({Role.ADMIN}),
}
# What is done with these cannot be undone: a person who signed in gives the password again where that is a while ago.
CONFIRMED = frozenset({"order.decide", "people.manage"})
