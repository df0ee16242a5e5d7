"""HTTP with the standard library alone, for the engine that has nothing else."""

from __future__ import annotations

from typing import IO
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from .proxies import usable_proxy


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
