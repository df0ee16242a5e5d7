"""Which addresses are this machine's own, through which proxy the others are reached, and what a person should
know of the way. The standard library alone, for the engine that has nothing else."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import IO
from urllib.parse import SplitResult, urlsplit
from urllib.request import (
    HTTPRedirectHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    build_opener,
    getproxies,
    proxy_bypass,
)

from ..errors import EndpointError

_SHORT_IPV4 = re.compile(r"[0-9a-fx.]+", re.ASCII)


def is_on_this_machine(url: str) -> bool:
    """Whether what is sent to ``url`` stays on this machine."""
    host = host_of(url)
    address = _address(_plain(host))
    # The address of a server that listens everywhere leads a client of the same machine to its loopback.
    return is_loopback(host) or (address is not None and address.is_unspecified)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is the name or an address of the loopback, in any spelling of the address.

    Names below ``localhost``, which only some resolvers lead there, count as another machine's: a person is warned.
    """
    address = _address(_plain(host))
    return _plain(host) == "localhost" or (address is not None and address.is_loopback)


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _address(name: str) -> IPv4Address | IPv6Address | None:
    with suppress(ValueError):
        address = ip_address(name)
        return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address
    # Such as 127.1, 0x7f.1 or 2130706433, which resolvers take as well.
    with suppress(OSError):
        return IPv4Address(socket.inet_aton(name)) if _SHORT_IPV4.fullmatch(name) else None
    return None


def host_of(url: str) -> str:
    """The host that ``url`` names; empty where it names none."""
    try:
        return urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""


def is_address(url: str) -> bool:
    """Whether ``url`` can be the address of a server of HTTP."""
    return address_parts(url) is not None


def address_parts(url: str) -> SplitResult | None:
    """What ``url`` is made of; None where it can't be the address of a server of HTTP."""
    is_address = scheme_of(url) in _HTTP_KINDS and bool(host_of(url)) and has_possible_host(url)
    return urlsplit(url.strip()) if is_address else None


def holds_password(url: str) -> bool:
    """Whether ``url`` names a user or a password, so that nobody must be shown it. It need not be an address."""
    try:
        return "@" in urlsplit(url.strip()).netloc
    except ValueError:
        return "@" in url


def has_possible_host(url: str) -> bool:
    """Whether host and port of ``url`` can be; those that can't would end a connection with an error of its own."""
    try:
        has_port = urlsplit(url.strip()).port != 0
        host_of(url).encode("idna")
    except ValueError:
        return False
    return has_port and not any(map(str.isspace, host_of(url)))


def scheme_of(url: str) -> str:
    """What ``url`` begins with, in lower case: ``http`` or ``https``, where it is an address of a server."""
    return url.strip().partition("://")[0].lower()


_HTTP_KINDS = ("http", "https")
_SOCKS_KINDS = ("socks5", "socks5h")
LOOPBACK = "127.0.0.1"
"""Where a server of ours is reached from this machine alone."""
_LOOPBACK_NAMES = ("localhost", LOOPBACK, "::1")


@dataclass(frozen=True)
class Proxy:
    """A proxy of the environment. Its address, which may hold a password, is never shown."""

    url: str = field(repr=False)
    source: str
    """The variable that names it."""

    @property
    def kind(self) -> str:
        """``http``, ``https``, ``socks5``, or whatever else its address begins with."""
        return scheme_of(self.url)

    @property
    def host(self) -> str:
        """Where it is, without user and password."""
        return host_of(self.url) or "(no host)"


def proxy_for(url: str) -> Proxy | None:
    """The proxy through which ``url`` is reached; None where it is reached directly, as this machine always is."""
    if is_on_this_machine(url):
        return None
    settings = getproxies()
    if _is_exempt(url, settings.get("no", "")):
        return None
    for key in (scheme_of(url), "all"):
        if value := settings.get(key, "").strip():
            return Proxy(value if "://" in value else f"http://{value}", _source(key, value))
    return None


def usable_proxy(url: str, *, takes_socks: bool = True) -> Proxy | None:
    """:func:`proxy_for`, where the proxy is of a kind that can be spoken to.

    Args:
        url: what is to be reached.
        takes_socks: whether the client speaks SOCKS where the package ``socksio`` is there.

    Raises:
        EndpointError: it is of another kind.
    """
    proxy = proxy_for(url)
    if proxy is None or (proxy.kind in _HTTP_KINDS and host_of(proxy.url)):
        return proxy
    host = host_of(url)
    otherwise = f"unset {proxy.source}, or add {host} to NO_PROXY if it can be reached without a proxy"
    found = f"{host} would be reached through the proxy {proxy.host} that {proxy.source} names"
    if proxy.kind in _SOCKS_KINDS and takes_socks:
        if find_spec("socksio") is not None:
            return proxy
        raise EndpointError(
            f"{found}, and {proxy.kind} needs a package that is not there: pip install 'httpx[socks]'. Or {otherwise}"
        )
    raise EndpointError(f"{found}, and no proxy of the kind {proxy.kind!r} can be used here: {otherwise}")


def privacy_warning(url: str, *, sent: str, receiver: str) -> str | None:
    """What a person should know before the first note leaves this machine; None where none does.

    Args:
        url: where it is sent.
        sent: what is sent, as the subject of a sentence in the plural.
        receiver: what is there, e.g. ``the judge``.
    """
    if is_on_this_machine(url) or not host_of(url):
        return None
    is_plain = scheme_of(url) == "http"
    through = ""
    if proxy := proxy_for(url):
        through = f", through the proxy {proxy.host} ({proxy.source})"
        through += ", which can read them" if is_plain else ""
    return (
        f"{sent} are sent{' unencrypted' if is_plain else ''} to {receiver} at {host_of(url)}, beyond this "
        f"machine{through}. Patients' notes must not leave it without permission"
    )


def loopback_exempted(environment: Mapping[str, str]) -> dict[str, str]:
    """What to set in ``environment`` so that other libraries and programs use no proxy for this machine either."""
    if not any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in environment):
        return {}
    # Some programs read one spelling, some the other.
    named = [environment[name] for name in ("no_proxy", "NO_PROXY") if environment.get(name)]
    entries = dict.fromkeys(entry.strip() for names in (*named, *_LOOPBACK_NAMES) for entry in names.split(","))
    joined = ",".join(entry for entry in entries if entry)
    return {"no_proxy": joined, "NO_PROXY": joined}


def _is_exempt(url: str, listed: str) -> bool:
    host = host_of(url)
    try:
        port = urlsplit(url.strip()).port
    except ValueError:
        port = None
    return bool(proxy_bypass(host if port is None else f"{host}:{port}")) or _is_in_networks(host, listed)


def _is_in_networks(host: str, listed: str) -> bool:
    """Whether ``host`` is an address of a network such as 10.0.0.0/8 among ``listed``, which urllib doesn't know."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    for entry in listed.split(","):
        with suppress(ValueError):
            if address in ip_network(entry.strip(), strict=False):
                return True
    return False


def _source(key: str, value: str) -> str:
    names = (f"{key}_proxy", f"{key}_proxy".upper())
    return next((name for name in names if os.environ.get(name, "").strip() == value), "the system's proxy settings")


def make_opener(url: str) -> OpenerDirector:
    """An opener for the server at ``url``: straight to this machine, else through the environment's proxy.

    Raises:
        EndpointError: that proxy is of a kind that urllib doesn't speak to.
    """
    proxy = usable_proxy(url, takes_socks=False)
    # An empty handler keeps urllib from looking into the environment itself.
    proxies = {} if proxy is None else {"http": proxy.url, "https": proxy.url}
    return build_opener(ProxyHandler(proxies), _NoRedirects)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> Request | None:
        """Follow nothing; the answer then counts as the error that its status says."""
