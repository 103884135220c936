"""Run inside an installation: somebody opens every page that a link leads to, beginning with the dashboard."""

from __future__ import annotations

import re
from collections import deque
from urllib.parse import urldefrag

from django.test import Client

from ordergen.accounts.models import User

LINK = re.compile(r'\s(?:href|hx-get)="(/[^"]*)"')
SORTED_OR_FILTERED = re.compile(r"[?&](sort|after|before|state|tab|filter|page)=")  # the same page in another order
NO_PAGE = ("/static/", "/signout", "/api/")


def crawl(username: str) -> dict[str, int]:
    """By address, how it answered."""
    client = Client(raise_request_exception=False, SERVER_NAME="localhost")
    client.force_login(User.objects.get(username=username))
    seen: dict[str, int] = {}
    waiting = deque(["/"])
    while waiting:
        address = waiting.popleft()
        if address in seen or address.startswith(NO_PAGE) or SORTED_OR_FILTERED.search(address):
            continue
        answer = client.get(address)
        seen[address] = answer.status_code
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        if "text/html" in answer.headers.get("Content-Type", ""):
            links = LINK.findall(content.decode())
            waiting.extend(urldefrag(link.replace("&amp;", "&")).url for link in links)
    return seen
