"""What stands before the application: the token, the kind and size of a request and the time it may take; and what is
counted, without any client's text."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Collection, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...records import Labels, Ruling
from . import ServiceSettings

OPEN_PATHS = frozenset({"/health", "/ready", "/openapi.json"})
"""Asked without a token: they tell nothing of any game."""

_OTHER_PATH = "other"
_SECONDS_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class ServiceMetrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter("judge_requests", "Requests answered.", ("path", "status"), registry=registry)
        self._request_seconds = Histogram(
            "judge_request_seconds", "Seconds of a request.", ("path",), buckets=_SECONDS_BUCKETS, registry=registry
        )
        self._games = Counter("judge_games", "Games ruled on.", ("outcome",), registry=registry)
        self._batch_seconds = Histogram(
            "judge_batch_seconds", "Seconds of a batch.", buckets=_SECONDS_BUCKETS, registry=registry
        )
        self._waiting = Gauge("judge_waiting_games", "Games that wait for the judge.", registry=registry)
        self._ready = Gauge("judge_ready", "Whether the service takes games.", registry=registry)

    def watch(self, waiting: Callable[[], int], is_ready: Callable[[], bool]) -> None:
        """Ask these whenever the metrics are read."""
        self._waiting.set_function(waiting)
        self._ready.set_function(lambda: float(is_ready()))

    def request_answered(self, path: str, status: int, seconds: float) -> None:
        """A request to ``path``, one of the service's own, was answered."""
        self._requests.labels(path, status).inc()
        self._request_seconds.labels(path).observe(seconds)

    def batch_ruled(self, rulings: Sequence[Ruling], seconds: float) -> None:
        """The judge ruled on a batch."""
        self._batch_seconds.observe(seconds)
        for ruling in rulings:
            self._games.labels(_outcome_of(ruling)).inc()

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)


def _outcome_of(ruling: Ruling) -> str:
    if isinstance(ruling, Labels):
        return "decided"
    return "abstained" if ruling.is_abstention else "failed"


class Gate:
    """An ASGI application around another one."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServiceSettings,
        metrics: ServiceMetrics,
        paths: Collection[str],
        token: str | None,
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._paths = frozenset(paths)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def counted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
            body = await self._body(receive)
            await self._app(scope, _replayed(body, receive), counted_send)
        except HTTPException as refused:
            answer = JSONResponse({"detail": refused.detail}, refused.status_code, refused.headers)
            await answer(scope, receive, counted_send)
        finally:
            # A metric for each path that someone makes up would grow without end.
            path = scope["path"] if scope["path"] in self._paths else _OTHER_PATH
            self._metrics.request_answered(path, status, time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if self._token is not None and scope["path"] not in OPEN_PATHS:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            is_right = hmac.compare_digest(given.strip().encode(), self._token.encode())
            if not is_right or scheme.lower() != "bearer":
                raise HTTPException(401, "the bearer token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        if scope["method"] == "POST":
            _check_kind(headers)

    async def _body(self, receive: Receive) -> bytes:
        body = bytearray()
        limit = self._settings.max_body_bytes
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise HTTPException(400, "the client went away in the middle of its request")
                    body += message.get("body", b"")
                    if len(body) > limit:
                        raise HTTPException(413, f"the body is larger than {limit} bytes: send fewer queries at once")
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            seconds = self._settings.body_seconds
            raise HTTPException(408, f"the request took more than {seconds:g} seconds to arrive") from None


def _check_kind(headers: Headers) -> None:
    """Refuse a body that is not said to be JSON, or is packed: unpacked, it has no size that could be refused."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Any page in a browser of this machine may send other kinds here without asking.
        raise HTTPException(415, "the body must be JSON, with the header Content-Type: application/json")
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise HTTPException(415, f"the body is packed (Content-Encoding: {encoding[:40]}): send it as it is")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """``receive`` as if ``body``, which was read from it, were still to come."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
