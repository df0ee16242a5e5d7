"""The httpx clients of this package: nobody else makes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import httpx

from ..errors import EndpointError
from .proxies import has_possible_host, scheme_of, usable_proxy

_SECONDS = 60.0
_CONNECTIONS = 100


def make_client(
    base_url: str,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float | httpx.Timeout = _SECONDS,
    max_connections: int = _CONNECTIONS,
) -> httpx.Client:
    """A client of one server. Paths are relative to ``base_url``; redirects are not followed.

    Raises:
        EndpointError: ``base_url`` is no address, or the environment's proxy for it can't be used.
    """
    transport = httpx.HTTPTransport(**_route(base_url, max_connections))
    return httpx.Client(base_url=base_url, headers=headers, timeout=timeout, transport=transport, trust_env=False)


def make_async_client(base_url: str, *, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """:func:`make_client` for callers on an event loop."""
    transport = httpx.AsyncHTTPTransport(**_route(base_url))
    return httpx.AsyncClient(base_url=base_url, headers=headers, timeout=_SECONDS, transport=transport, trust_env=False)


class _Route(TypedDict):
    proxy: str | None
    verify: bool
    limits: httpx.Limits


def _route(base_url: str, max_connections: int = _CONNECTIONS) -> _Route:
    # A transport of our own: httpx then asks the environment for certificates, and not for proxies.
    proxy = usable_proxy(base_url)
    _check(base_url, "the address of the server")
    if proxy is not None:
        _check(proxy.url, f"the proxy that {proxy.source} names")
    return _Route(
        proxy=proxy.url if proxy else None,
        # Plain HTTP has no certificates, and reading this machine's takes a while.
        verify=scheme_of(base_url) == "https",
        limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=min(max_connections, 20)),
    )


def _check(url: str, what: str) -> None:
    try:
        httpx.URL(url)
        is_usable = has_possible_host(url)
    except httpx.InvalidURL:
        is_usable = False
    if not is_usable:
        # What httpx says may quote a password.
        raise EndpointError(f"{what} can't be used: it looks like http://127.0.0.1:8000") from None
