"""A judge that is a service somewhere else, for synchronous and asynchronous callers.

What is sent, tried again and waited for is decided in :mod:`.conversation`; here is what does it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

import httpx

from ..callbacks import Notify
from ..errors import EndpointError, JudgeError
from ..network.clients import make_async_client, make_client
from ..network.proxies import address_parts, holds_password
from ..network.proxies import privacy_warning as warning_of
from ..records import Ruling
from .conversation import Conversation, NoReply, Outcome, Patience, Reply, Send, Sleep, Steps, Trouble
from .protocol import JudgeQuery
from .wire import JUDGING_PATHS

GAMES_PER_REQUEST = 1024
MOST_REPLY_BYTES = 256 * 1024 * 1024

_CONNECT_SECONDS = 10.0
_ResultT = TypeVar("_ResultT")
_ClientT = TypeVar("_ClientT", httpx.Client, httpx.AsyncClient)


class _Service(Generic[_ClientT]):
    """What both ask.

    Args:
        url: the service, e.g. ``http://127.0.0.1:8000``; a path ``/judge`` behind it is understood.
        token: its bearer token, where it wants one.
        games_per_request: games in one request.
        timeout_seconds: how long one answer may take.
        patience_seconds: how long a service that is away is waited for before its games fail.
        notify: told when the run pauses for the judge, and when it goes on.

    Raises:
        JudgeError: ``url`` is no address, or the proxy of the environment for it can't be used.
    """

    name = "remote"
    _make: ClassVar[Callable[..., Any]]

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        games_per_request: int = GAMES_PER_REQUEST,
        timeout_seconds: float = Patience.timeout,
        patience_seconds: float = Patience.away,
        notify: Notify = lambda _: None,
    ) -> None:
        base = base_url(url)
        patience = Patience(timeout=timeout_seconds, away=patience_seconds)
        self._conversation = Conversation(base, self.name, games_per_request, patience, notify)
        headers = {"Accept-Encoding": "identity", "User-Agent": "medical-team"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._http: _ClientT = self._make(base, headers=headers)
        except EndpointError as error:
            raise JudgeError(f"the judge can't be asked: {error}") from error


class RemoteJudge(_Service[httpx.Client]):
    """Asks a judge's service, with pooled connections. May be used by several threads."""

    _make = staticmethod(make_client)

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. Waits while the service is away."""
        return self._follow(self._conversation.rule(queries))

    def wait_until_ready(self) -> None:
        """Wait until the service is loaded, and check that it takes games from us.

        Raises:
            JudgeError: it doesn't, or there is none.
        """
        self._follow(self._conversation.wait_until_ready())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _follow(self, steps: Steps[_ResultT]) -> _ResultT:
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value
            if isinstance(step, Sleep):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = self._send(step)

    def _send(self, step: Send) -> Outcome:
        deadline = time.monotonic() + step.timeout_seconds
        try:
            with self._http.stream(step.method, step.path, **_request_options(step)) as response:
                reading = _Reading(response)
                for chunk in response.iter_bytes():
                    # The library's own time-out is for each piece: one that drips would never end.
                    if time.monotonic() > deadline:
                        return _too_slow(step)
                    reading.add(chunk)
                return reading.reply
        except httpx.HTTPError as error:
            return _no_reply(error, step)


class AsyncRemoteJudge(_Service[httpx.AsyncClient]):
    """:class:`RemoteJudge` for callers on an event loop. Calls may overlap."""

    _make = staticmethod(make_async_client)

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. Waits while the service is away."""
        return await self._follow(self._conversation.rule(queries))

    async def wait_until_ready(self) -> None:
        """Wait until the service is loaded, and check that it takes games from us.

        Raises:
            JudgeError: it doesn't, or there is none.
        """
        await self._follow(self._conversation.wait_until_ready())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _follow(self, steps: Steps[_ResultT]) -> _ResultT:
        outcome: Outcome | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                return end.value
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                outcome = None
            else:
                outcome = await self._send(step)

    async def _send(self, step: Send) -> Outcome:
        try:
            async with (
                asyncio.timeout(step.timeout_seconds),
                self._http.stream(step.method, step.path, **_request_options(step)) as response,
            ):
                reading = _Reading(response)
                async for chunk in response.aiter_bytes():
                    reading.add(chunk)
                return reading.reply
        except TimeoutError:
            return _too_slow(step)
        except httpx.HTTPError as error:
            return _no_reply(error, step)


def base_url(url: str) -> str:
    """The service's address without the path of a question.

    Raises:
        JudgeError: ``url`` is no address.
    """
    if holds_password(url):
        raise JudgeError(
            "the judge's address holds a user or a password, which would be saved with the run: put a token into the "
            "environment variable that judge.token_variable names"
        )
    parts = address_parts(url)
    if parts is None:
        raise JudgeError(f"{url!r} is no address of a judge: it looks like http://127.0.0.1:8000")
    if parts.query or parts.fragment:
        raise JudgeError(f"{url!r} is no address of a judge: leave out what follows '?' or '#'")
    path = parts.path.rstrip("/")
    for judging_path in JUDGING_PATHS:
        path = path.removesuffix(judging_path)
    return f"{parts.scheme}://{parts.netloc}{path}"


def privacy_warning(url: str) -> str | None:
    """What a person should know before the first note leaves this machine; None where none does."""
    return warning_of(url, sent="notes, their corrections and verdicts", receiver="the judge")


class _Reading:
    """A reply as it arrives."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        self._body += chunk
        if len(self._body) > MOST_REPLY_BYTES:
            raise httpx.DecodingError(f"the reply is larger than {MOST_REPLY_BYTES} bytes")

    @property
    def reply(self) -> Reply:
        return Reply(self._response.status_code, bytes(self._body), self._response.headers.get("retry-after"))


def _request_options(step: Send) -> dict[str, Any]:
    timeout = httpx.Timeout(step.timeout_seconds, connect=min(_CONNECT_SECONDS, step.timeout_seconds))
    headers = {"Content-Type": "application/json"} if step.body is not None else {}
    return {"content": step.body, "headers": headers, "timeout": timeout}


def _too_slow(step: Send) -> NoReply:
    return NoReply(Trouble.SLOW, f"no whole answer within {step.timeout_seconds:g} seconds")


def _no_reply(error: httpx.HTTPError, step: Send) -> NoReply:
    reason = str(error) or type(error).__name__
    if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout)):
        return _too_slow(step)
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)):
        return NoReply(Trouble.AWAY, reason)
    return NoReply(Trouble.BROKEN, reason)
