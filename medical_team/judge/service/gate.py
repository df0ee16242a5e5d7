"""What stands before the application: the token, the size of a request, the time it may take to arrive, the counting.

A body is read here, whole and within its limits, before anything parses it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Collection, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import ServiceMetrics
from .settings import ServiceSettings

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
        size = _declared_size(headers)
        if size > self._settings.max_body_bytes:
            raise self._too_large()
        if self._bytes_in_work and self._bytes_in_work + size > self._settings.max_waiting_bytes:
            retry = {"Retry-After": str(_BUSY_RETRY_SECONDS)}
            raise _Refused(429, "the requests in work are as large as all may be together", retry)
        self._bytes_in_work += size
        try:
            body = await self._body(receive)
            await self._app(scope, _replayed(body, receive), send)
        finally:
            self._bytes_in_work -= size

    def _check_token(self, scope: Scope, headers: Mapping[str, bytes]) -> None:
        if self._token is None or scope["path"] in OPEN_PATHS:
            return
        given = headers.get("authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token.encode()):
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
