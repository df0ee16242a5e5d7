"""A judge that is a service somewhere else.

What is sent, tried again and waited for is decided in :mod:`.conversation`; here is what does it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx

from ..callbacks import Notify
from ..errors import EndpointError, JudgeError
from ..network.clients import make_client, whole_answer
from ..network.proxies import address_parts, holds_password
from ..network.proxies import privacy_warning as warning_of
from ..records import Ruling
from .conversation import Conversation, NoReply, Reply, Trouble
from .protocol import JudgeQuery
from .wire import JUDGING_PATHS

_MOST_REPLY_BYTES = 256 * 1024 * 1024


class RemoteJudge:
    """Asks a judge's service, with pooled connections. May be used by several threads.

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

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        games_per_request: int = 1024,
        timeout_seconds: float = 60.0,
        patience_seconds: float = 600.0,
        notify: Notify = lambda _: None,
    ) -> None:
        base = base_url(url)
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json", "User-Agent": "medical-team"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._http = make_client(base, headers=headers)
        except EndpointError as error:
            raise JudgeError(f"the judge can't be asked: {error}") from error
        self._conversation = Conversation(
            base, self.name, self._send, games_per_request, timeout_seconds, patience_seconds, notify
        )

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. Waits while the service is away."""
        return self._conversation.rule(queries)

    def wait_until_ready(self) -> None:
        """Wait until the service is loaded, and check that it takes games from us.

        Raises:
            JudgeError: it doesn't, or there is none.
        """
        self._conversation.wait_until_ready()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, path: str, body: bytes | None, seconds: float) -> Reply | NoReply:
        try:
            status, headers, content = whole_answer(
                self._http, path, seconds=seconds, most_bytes=_MOST_REPLY_BYTES, content=body
            )
        except (httpx.ReadTimeout, httpx.WriteTimeout):
            return NoReply(Trouble.SLOW, f"no whole answer within {seconds:g} seconds")
        except httpx.HTTPError as error:
            is_away = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError))
            return NoReply(Trouble.AWAY if is_away else Trouble.BROKEN, str(error) or type(error).__name__)
        return Reply(status, content, headers.get("retry-after"))


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
