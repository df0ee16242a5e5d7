"""What stands before the application: the token, the size of a request and the time it may take; the reading of
its body, a 422 that names every field; and what is counted, without any client's text."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...text_repair import whole_text
from .batching import ServiceSettings

_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
_SECONDS_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class ServiceMetrics:
    """Counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter("judge_requests", "Requests answered.", ("path", "status"), registry=self._registry)
        self._request_seconds = Histogram(
            "judge_request_seconds",
            "Seconds from the first byte of a request to its answer.",
            ("path",),
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._games = Counter("judge_games", "Games ruled on.", ("outcome",), registry=self._registry)
        self._batch_games = Histogram(
            "judge_batch_games", "Games in a batch.", buckets=_BATCH_BUCKETS, registry=self._registry
        )
        self._batch_seconds = Histogram(
            "judge_batch_seconds", "Seconds of a batch.", buckets=_SECONDS_BUCKETS, registry=self._registry
        )
        self._waiting = Gauge("judge_waiting_games", "Games that wait for the judge.", registry=self._registry)
        self._ready = Gauge("judge_ready", "Whether the service takes games.", registry=self._registry)

    def watch(self, waiting: Callable[[], int], is_ready: Callable[[], bool]) -> None:
        """Ask these whenever the metrics are read."""
        self._waiting.set_function(waiting)
        self._ready.set_function(lambda: float(is_ready()))

    def request_answered(self, path: str, status: int, seconds: float) -> None:
        """A request to ``path``, one of the service's own, was answered."""
        self._requests.labels(path, status).inc()
        self._request_seconds.labels(path).observe(seconds)

    def batch_ruled(self, games: int, seconds: float, outcomes: Mapping[str, int]) -> None:
        """The judge ruled on a batch."""
        self._batch_games.observe(games)
        self._batch_seconds.observe(seconds)
        for outcome, count in outcomes.items():
            self._games.labels(outcome).inc(count)

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)


BodyT = TypeVar("BodyT", bound=BaseModel)


async def read_body(request: Request, model: type[BodyT]) -> BodyT:
    """The body of ``request`` as a ``model``, straight from its bytes: a service spends most of its time on reading.

    Halves of characters, which JSON can hold and UTF-8 can't, become marks, so that one note which holds some doesn't
    spoil the reply to all.

    Raises:
        RequestValidationError: it is no JSON, or is not said to be, or fields are wrong.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        # Any page in a browser of this machine may send other kinds here without asking.
        raise field_error((), "the body must be JSON, with the header Content-Type: application/json", "content_type")
    try:
        return _read(await request.body(), model)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**problem, "loc": ("body", *problem["loc"])} for problem in problems]) from error


def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """What the OpenAPI document says of a request that is read as ``model``."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def field_error(where: tuple[str | int, ...], message: str, kind: str) -> RequestValidationError:
    """The refusal of one field of a body."""
    return RequestValidationError([{"loc": ("body", *where), "msg": message, "type": kind}])


def _read(body: bytes, model: type[BodyT]) -> BodyT:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
            raise
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise field_error((), f"the body is no JSON: {error}", "json_invalid") from error
    # As it came: the index of a game is sent back, and must not be another one by then.
    model.model_validate(content)
    return model.model_validate_json(whole_text(json.dumps(content, ensure_ascii=False)))


OPEN_PATHS = frozenset({"/health", "/ready", "/openapi.json"})
"""Asked without a token: they tell nothing of any game."""

_OTHER_PATH = "other"
_BUSY_RETRY_SECONDS = 2

_logger = logging.getLogger(__name__)


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


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
        self._bytes_in_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500
        is_begun = False

        async def counted_send(message: Message) -> None:
            nonlocal status, is_begun
            if message["type"] == "http.response.start":
                status, is_begun = message["status"], True
            await send(message)

        try:
            await self._pass(scope, receive, counted_send)
        except _Refused as refused:
            await _send_json(counted_send, refused.status, refused.detail, refused.headers)
        except Exception:
            # The client learns nothing of our inside; who runs the service does.
            _logger.exception("a request to %s failed", self._known_path(scope))
            if not is_begun:
                await _send_json(counted_send, 500, "the service failed; its log says why", {})
        finally:
            self._metrics.request_answered(self._known_path(scope), status, time.perf_counter() - started)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        self._check_token(scope, headers)
        _check_encoding(headers)
        size = _declared_size(headers)
        if size > self._settings.max_body_bytes:
            raise self._too_large()
        if self._bytes_in_work and self._bytes_in_work + size > self._settings.max_waiting_bytes:
            retry = {"Retry-After": str(_BUSY_RETRY_SECONDS)}
            raise _Refused(429, "the requests in work are as large as all may be together", retry)
        self._bytes_in_work += size
        try:
            body = await self._body(receive)
            # One that came in chunks declared nothing, and takes as much memory.
            self._bytes_in_work += len(body) - size
            size = len(body)
            await self._app(scope, _replayed(body, receive), send)
        finally:
            self._bytes_in_work -= size

    def _check_token(self, scope: Scope, headers: Mapping[str, bytes]) -> None:
        if self._token is None or scope["path"] in OPEN_PATHS:
            return
        scheme, _, given = headers.get("authorization", b"").partition(b" ")
        is_right = hmac.compare_digest(given.strip(), self._token.encode())
        if not is_right or scheme.lower() != b"bearer":
            raise _Refused(401, "the bearer token is missing or wrong", {"WWW-Authenticate": "Bearer"})

    async def _body(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refused(400, "the client went away in the middle of its request")
                    chunk = message.get("body", b"")
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > self._settings.max_body_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            seconds = self._settings.body_seconds
            raise _Refused(408, f"the request took more than {seconds:g} seconds to arrive") from None

    def _too_large(self) -> _Refused:
        limit = self._settings.max_body_bytes
        return _Refused(413, f"the body is larger than {limit} bytes: send fewer queries at once")

    def _known_path(self, scope: Scope) -> str:
        # A metric for each path that someone makes up would grow without end.
        return scope["path"] if scope["path"] in self._paths else _OTHER_PATH


def _check_encoding(headers: Mapping[str, bytes]) -> None:
    """Refuse a packed body: as text it would be no JSON, and unpacked it has no size that could be refused before."""
    encoding = headers.get("content-encoding", b"").strip().lower()
    if encoding not in (b"", b"identity"):
        told = encoding.decode("latin-1")[:40]
        raise _Refused(415, f"the body is packed (Content-Encoding: {told}): send it as it is", {})


def _declared_size(headers: Mapping[str, bytes]) -> int:
    declared = headers.get("content-length", b"0")
    return int(declared) if declared.isdigit() else 0


def _replayed(body: bytes, receive: Receive) -> Receive:
    """``receive`` as if ``body``, which was read from it, were still to come."""
    is_given = False

    async def replay() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _send_json(send: Send, status: int, detail: str, headers: Mapping[str, str]) -> None:
    body = json.dumps({"detail": detail}).encode()
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
