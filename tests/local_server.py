"""Servers on this machine that tests script: quiet, and gone when the test is."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Generator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietHandler(BaseHTTPRequestHandler):
    """Answers in whole replies, and says nothing of them."""

    def answer(self, status: int, content: Any = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send ``content``: bytes as they are, anything else as JSON. To HEAD only the headers go."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as it is there
        """Say nothing."""


def free_port() -> int:
    """A port at which nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def local_server(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server on a port that is free."""
    return ThreadingHTTPServer(("127.0.0.1", 0), handler)


@contextlib.contextmanager
def running(server: ThreadingHTTPServer) -> Generator[str]:
    """Serve in a thread while the block runs. Gives the address."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
