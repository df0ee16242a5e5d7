"""A judge's service that fails on demand: a real HTTP server whose answers, good and bad, are scripted one by one."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Generator
from http.server import ThreadingHTTPServer
from typing import Any

from local_server import QuietHandler, running

LabelList = list[dict[str, Any]]
Fault = Callable[["Handler", LabelList], None]
"""Answers one request, given the labels that a good service would send."""


def label_of(query: dict[str, Any]) -> dict[str, Any]:
    """A good label: a note has an error if it says so."""
    return {
        "game_idx": query["game_idx"],
        "error_present": "error" in query["prompt"],
        "error_detected": {"Harmful": True, "Safe": False}.get(query["response"]),
        "is_parsing_error": False,
        "source": "script",
        "reason": query["prompt"],
    }


class FaultServer(ThreadingHTTPServer):
    """Takes the next of ``faults`` for each request to ``/judge``; when none is left, it answers well."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.faults: deque[Fault] = deque()
        self.health: deque[int] = deque()
        self.always: Fault | None = None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.probes = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients go away, that is what is tested."""


class Handler(QuietHandler):
    protocol_version = "HTTP/1.1"

    @property
    def service(self) -> FaultServer:
        assert isinstance(self.server, FaultServer)
        return self.server

    def do_GET(self) -> None:
        self.service.probes += 1
        status = self.service.health.popleft() if self.service.health else 200
        self.answer(status, json.dumps({"status": "healthy" if status == 200 else "loading"}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.service.requests.append(body)
        self.service.headers.append(dict(self.headers))
        labels = [label_of(query) for query in body["queries"]]
        fault = self.service.faults.popleft() if self.service.faults else self.service.always or well
        fault(self, labels)


def well(handler: Handler, labels: LabelList) -> None:
    handler.answer(200, json.dumps({"labels": labels}).encode())


def changed(change: Callable[[LabelList], Any]) -> Fault:
    """Good labels, but for a change."""
    return lambda handler, labels: handler.answer(200, json.dumps({"labels": change(labels)}).encode())


def status(code: int, body: bytes = b"{}", **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler, labels: handler.answer(code, body, named)


def text(body: bytes) -> Fault:
    return status(200, body)


def truncated(handler: Handler, labels: LabelList) -> None:
    """Half of what was announced, then the end."""
    body = json.dumps({"labels": labels}).encode()
    handler.answer(200, body[: len(body) // 2], {"Content-Length": str(len(body))})
    handler.close_connection = True


def reset(handler: Handler, labels: LabelList) -> None:
    """The connection breaks without an answer, as when a process is killed."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def half_closed(handler: Handler, labels: LabelList) -> None:
    """The server says that nothing more comes, and answers nothing."""
    handler.connection.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    handler.close_connection = True


def hanging(seconds: float) -> Fault:
    """A good answer, too late."""

    def hang(handler: Handler, labels: LabelList) -> None:
        time.sleep(seconds)
        well(handler, labels)

    return hang


def dripping(handler: Handler, labels: LabelList) -> None:
    """A good answer that never ends: a space now and then."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


@contextlib.contextmanager
def fault_server(port: int = 0) -> Generator[FaultServer]:
    server = FaultServer(port)
    with running(server):
        yield server
