"""The httpx clients of this package: nobody else makes one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import httpx

from ..errors import EndpointError
from .proxies import address_parts, has_possible_host, holds_password, host_of, scheme_of, usable_proxy

_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
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
        EndpointError: ``base_url`` is no address, or the environment's proxy or certificates for it can't be used.
    """
    # A transport of our own: httpx then asks the environment for certificates, and not for proxies.
    proxy = usable_proxy(base_url)
    _check(base_url, "the address of the server")
    if proxy is not None:
        _check(proxy.url, f"the proxy that {proxy.source} names")
    try:
        transport = httpx.HTTPTransport(
            proxy=proxy.url if proxy else None,
            # Plain HTTP has no certificates, and reading this machine's takes a while.
            verify=scheme_of(base_url) == "https",
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=min(max_connections, 20)),
        )
    except OSError as error:
        # Certificates are read when a client is made: what is wrong with their file is no fault of the server.
        named = ", ".join(f"{name}={os.environ[name]}" for name in _CERTIFICATE_VARIABLES if os.environ.get(name))
        remedy = f"Mend or unset what the environment names: {named}" if named else "Mend this machine's certificates"
        reason = error.strerror or str(error)
        raise EndpointError(f"no secure connection to {host_of(base_url)} can be made ({reason}). {remedy}") from error
    return httpx.Client(base_url=base_url, headers=headers, timeout=timeout, transport=transport, trust_env=False)


def server_base(url: str, *endings: str) -> str:
    """The address of a server without ``endings``, the path of a question behind it.

    Raises:
        EndpointError: ``url`` is no address, or holds a password or a query.
    """
    if holds_password(url):
        raise EndpointError(
            "the address of the server holds a user or a password, which would be saved: put a token into an "
            "environment variable instead"
        )
    parts = address_parts(url)
    if parts is None:
        raise EndpointError(f"{url!r} is no address of a server: it looks like http://127.0.0.1:8000")
    if parts.query or parts.fragment:
        raise EndpointError(f"{url!r} is no address of a server: leave out what follows '?' or '#'")
    path = parts.path.rstrip("/")
    for ending in endings:
        path = path.removesuffix(ending)
    return f"{parts.scheme}://{parts.netloc}{path}"


def whole_answer(
    client: httpx.Client,
    path: str,
    *,
    seconds: float,
    most_bytes: int,
    content: bytes | None = None,
    json: object = None,
) -> tuple[int, httpx.Headers, bytes]:
    """Status, headers and whole body of what is answered at ``path``, which gets a POST where there is a body.

    Raises:
        httpx.RequestError: there is no answer, it takes longer than ``seconds``, or has more than ``most_bytes``.
    """
    method = "GET" if content is None and json is None else "POST"
    timeout = httpx.Timeout(seconds, connect=min(_CONNECT_SECONDS, seconds))
    body = bytearray()
    deadline = time.monotonic() + seconds
    with client.stream(method, path, content=content, json=json, timeout=timeout) as response:
        for chunk in response.iter_bytes():
            body += chunk
            # The library's own time-out is for each piece: an answer that drips would never end.
            if time.monotonic() > deadline:
                raise httpx.ReadTimeout(f"no whole answer within {seconds:g} seconds")
            if len(body) > most_bytes:
                raise httpx.DecodingError(f"the answer has more than {most_bytes} bytes")
        return response.status_code, response.headers, bytes(body)


_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def _check(url: str, what: str) -> None:
    try:
        # Its host is read later, and then raises.
        is_usable = has_possible_host(url) and bool(httpx.URL(url).host)
    except (httpx.InvalidURL, UnicodeError):
        is_usable = False
    if not is_usable:
        # What httpx says may quote a password.
        raise EndpointError(f"{what} can't be used: it looks like http://127.0.0.1:8000") from None
