"""Where a webhook may go: to the public internet over TLS, and inside only where the operator said so.

A name is resolved once and the connection goes to the address that was checked, so that no second answer of a name
server (“rebinding”) leads anywhere else.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from ordergen.core.errors import InvalidInputError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_URL = 500
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ALLOW = "An operator can allow its network: ORDERGEN_WEBHOOK_NETWORKS."


@dataclass(frozen=True)
class Target:
    """A URL with the addresses that its host had when they were checked."""

    url: str
    addresses: tuple[str, ...]


def resolve(url: str) -> Target:
    """Checks the URL and every address of its host. Raises InvalidInputError at the field `url`."""
    parts = _split(url)
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise _refusal(f"The host {host[:100]} cannot be found.") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        _check(address, parts)
    return Target(url, tuple(dict.fromkeys(map(str, addresses))))


def _split(url: str) -> SplitResult:
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise _refusal(f"An address has at most {MAX_URL} characters, all of them ASCII, and no spaces.")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise _refusal("This is no address, such as https://example.org/ordergen.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _refusal("An address begins with https:// and names a host.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refusal("An address has neither a user nor a password nor a fragment; the signature proves the sender.")
    return parts


def _check(address: IPAddress, parts: SplitResult) -> None:
    real = _embedded(address)
    if any(real in network for network in settings.WEBHOOK_NETWORKS if network.version == real.version):
        return
    if not real.is_global or real.is_multicast or real.is_reserved or real.is_unspecified:
        host = parts.hostname if parts.hostname == str(real) else f"{parts.hostname} ({real})"
        raise _refusal(f"{host} is no public address. {_ALLOW}")
    if parts.scheme != "https":
        raise _refusal("A public address is told over https:// only.")


def _embedded(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address stands for, where it does: there the packets go in the end."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inside = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inside is None and address in _NAT64:
        inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inside or address


def _refusal(message: str) -> InvalidInputError:
    return InvalidInputError(message, fields={"url": message})
