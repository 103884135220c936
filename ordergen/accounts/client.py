"""Where a request comes from: the address that counts, and the browser in its own words and in ours."""

from __future__ import annotations

import ipaddress
import unicodedata
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest

MAX_DEVICE = 200
_BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
_SYSTEMS = (
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True)
class Client:
    """`address` is empty where the server was not told one, as on a Unix socket."""

    address: str
    device: str

    @property
    def network(self) -> str:
        """What counts as one place: an IPv4 address, or the 64 bits of an IPv6 network, which one household has."""
        if ":" not in self.address:
            return self.address
        return str(ipaddress.ip_network((self.address, 64), strict=False))


def client_of(request: HttpRequest) -> Client:
    """Behind a proxy that is trusted, whom that proxy saw: what came before in X-Forwarded-For anybody can write."""
    seen = request.META.get("REMOTE_ADDR", "")
    if settings.TRUST_PROXY:
        seen = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or seen
    return Client(_address(seen), printable(request.headers.get("User-Agent", ""), MAX_DEVICE))


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)  # an IPv4 client of a server that listens on IPv6
    return str(mapped or address).partition("%")[0]


def printable(text: str, most: int) -> str:
    """At most so many characters of what a stranger sent, each of them one that can be seen."""
    return "".join(
        char if unicodedata.category(char)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for char in text[:most]
    )


def device_in_words(device: str) -> str:
    """Such as “Firefox on Windows”, as far as the browser tells."""
    browser = next((name for mark, name in _BROWSERS if mark in device), "")
    system = next((name for mark, name in _SYSTEMS if mark in device), "")
    if not browser and not system:
        return device[:40] or "unknown device"
    return " on ".join(filter(None, (browser, system)))
