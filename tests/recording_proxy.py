"""A proxy on this machine that writes down what reaches it, and answers everything with 502."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest

PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass
class RecordingProxy:
    """Where the proxy is, and what it was sent."""

    url: str
    received: list[bytes] = field(default_factory=list[bytes])


@contextlib.contextmanager
def recording_proxy() -> Generator[RecordingProxy]:
    """A proxy that records the beginning of each connection."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            proxy.received.append(self.request.recv(65536))
            self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = RecordingProxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that names no proxy and no exception from one."""
    for name in (*PROXY_VARIABLES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def use_proxy(monkeypatch: pytest.MonkeyPatch, url: str, *names: str) -> None:
    """An environment whose only proxy is ``url``, in ``names`` or in every variable that is used."""
    without_proxies(monkeypatch)
    for name in names or PROXY_VARIABLES:
        monkeypatch.setenv(name, url)
