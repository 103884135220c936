"""A request as the views see it, behind `login_required`."""

from __future__ import annotations

from django.http import HttpRequest

from ordergen.accounts.models import User


class SignedInRequest(HttpRequest):
    """Only for type checking: requests of signed-in people are ordinary HttpRequests."""

    user: User
