"""Which addresses are this machine's own."""

from __future__ import annotations

import re
import socket
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote, urlsplit

_SHORT_IPV4 = re.compile(r"[0-9a-fx.]+", re.ASCII)


def is_on_this_machine(url: str) -> bool:
    """Whether what is sent to ``url`` stays on this machine."""
    host = host_of(url)
    address = _address(_plain(host))
    # The address of a server that listens everywhere leads a client of the same machine to its loopback.
    return is_loopback(host) or (address is not None and address.is_unspecified)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a name or an address of the loopback, in any spelling that a resolver takes for one.

    Names below ``localhost`` should lead to it (RFC 6761), but not every resolver knows that and some ask a name
    server: for those this machine's resolver is asked where they lead.
    """
    name = _plain(host)
    if name.endswith(".localhost"):
        return _leads_to_loopback(name)
    address = _address(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def host_of(url: str) -> str:
    """The host that ``url`` names; empty where it names none."""
    try:
        return urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""


def scheme_of(url: str) -> str:
    """What ``url`` begins with, in lower case: ``http`` or ``https``, where it is an address of a server."""
    return url.strip().partition("://")[0].lower()


def _leads_to_loopback(name: str) -> bool:
    try:
        found = {str(address[0]) for *_, address in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        # Nothing can be sent where nothing is found, and no proxy is to look further.
        return True
    return all(is_loopback(address) for address in found)


def _plain(host: str) -> str:
    return unicodedata.normalize("NFKC", unquote(host)).strip("[]").rstrip(".").lower()


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(name)
    except ValueError:
        return _address_of_short_form(name)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _address_of_short_form(name: str) -> IPv4Address | None:
    """An address such as 127.1, 0x7f.1 or 2130706433, which resolvers take as well."""
    if not _SHORT_IPV4.fullmatch(name):
        return None
    try:
        return IPv4Address(socket.inet_aton(name))
    except OSError:
        return None
