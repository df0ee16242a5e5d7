"""A judge that is a service somewhere else: what to send, when to try again, when to wait, what a failure means.

- Tried again is only what can succeed: connection errors, 408, 429 and 5xx, after a growing, jittered delay, or after
  the one that the service asks for.
- A service that stays away pauses the run: no games are sent, a person is told, its health is asked for until it is
  back, and then the same games are sent again. Only when patience has run out are they the judge's failures.
- A request that is too large or too slow for the service, or holds a game that it can't read, is halved: in the end
  one game fails alone.
- Labels belong to games by numbers that are never used twice, so that a reply to another request matches nothing.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self

import httpx
from pydantic import JsonValue

from ..callbacks import Notify
from ..errors import EndpointError, JudgeError
from ..network.clients import make_client, server_base, whole_answer
from ..network.proxies import privacy_warning as warning_of
from ..records import Ruling
from .protocol import JudgeQuery, failure_of
from .wire import JUDGING_PATHS, JudgeRequest, WireQuery, rulings_of

PATIENCE_AT_START_SECONDS = 60.0
"""A service that never answered at all is waited for no longer than this: its address may be wrong."""

_FIRST_DELAY_SECONDS = 0.25
_LONGEST_DELAY_SECONDS = 15.0
_PROBE_TIMEOUT_SECONDS = 10.0
_TOLD_AFTER_SECONDS = 5.0
_MOST_BROKEN = 6
"""How often the same games are sent to a service that fails at them."""
_MOST_SLOW = 2
"""How often the same games may take too long before fewer are sent."""
_MOST_REPLY_BYTES = 256 * 1024 * 1024


class Trouble(Enum):
    """Why there is no reply."""

    AWAY = "away"
    """Nothing listens, or what listens says that it can't take games now."""
    BROKEN = "broken"
    """The service failed in the middle of its answer, or says that it failed."""
    SLOW = "slow"
    """The answer took too long."""


@dataclass(frozen=True)
class Reply:
    """A service's whole reply."""

    status: int
    body: bytes
    retry_after: str | None = None


@dataclass(frozen=True)
class NoReply:
    """There is none, or none that is final, and why."""

    trouble: Trouble
    reason: str
    is_heard: bool = False
    """Whether something answered, and said that it can't now."""


@dataclass
class _Waiting:
    """Since when one call waits for a service that it can't ask."""

    since: float | None = None


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
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json", "User-Agent": "medical-team"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            self._url = base_url(url)
            self._http = make_client(self._url, headers=headers)
        except EndpointError as error:
            raise JudgeError(f"the judge can't be asked: {error}") from error
        self._games_per_request = games_per_request
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._notify = notify
        self._numbers = itertools.count()
        self._paused_since: float | None = None

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. Waits while the service is away; never raises for what it does."""
        rulings: dict[str, Ruling] = {}
        left = [(next(self._numbers), query) for query in queries]
        waiting = _Waiting()
        while left:
            request, left = left[: self._games_per_request], left[self._games_per_request :]
            rulings |= self._rule_request(dict(request), waiting)
        return rulings

    def wait_until_ready(self) -> None:
        """Wait until the service is loaded, and check that it takes games from us.

        Raises:
            JudgeError: it doesn't, or there is none.
        """
        started = self.now()
        is_told = False
        while problem := self._health_problem():
            limit = self._patience_seconds
            if not problem.is_heard:
                limit = min(limit, PATIENCE_AT_START_SECONDS)
            if self.now() - started >= limit:
                raise JudgeError(
                    f"no judge is ready at {self._url}: {problem.reason}. Start one with "
                    "`medical-team judge serve`, or correct judge.url"
                )
            if not is_told:
                self._notify(f"Waiting for the judge at {self._url}: {problem.reason}")
                is_told = True
            self.sleep(_delay(3))
        outcome = self._exchange({}, _Waiting())
        if isinstance(outcome, NoReply):
            raise JudgeError(f"the judge at {self._url} is loaded but takes no games: {outcome.reason}")
        if outcome.status != 200 or json_or_none(outcome.body) != {"labels": []}:
            raise JudgeError(f"{self._url} is no judge that we can ask: {_refusal(outcome)}")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _rule_request(self, games: Mapping[int, JudgeQuery], waiting: _Waiting) -> dict[str, Ruling]:
        outcome = self._exchange(games, waiting)
        if isinstance(outcome, Reply):
            if outcome.status == 200:
                return rulings_of(json_or_none(outcome.body), games, self.name)
            reason = _refusal(outcome)
            is_halved = outcome.status in (413, 422)
        else:
            reason = outcome.reason
            is_halved = outcome.trouble is Trouble.SLOW
        if not is_halved or len(games) == 1:
            return {query.game_id: failure_of(query, self.name, reason) for query in games.values()}
        if isinstance(outcome, NoReply):
            self._send_fewer(len(games))
        numbered = list(games.items())
        halves = numbered[: len(games) // 2], numbered[len(games) // 2 :]
        return {key: ruling for half in halves for key, ruling in self._rule_request(dict(half), waiting).items()}

    def _send_fewer(self, games: int) -> None:
        self._games_per_request = min(self._games_per_request, math.ceil(games / 2))
        self._notify(
            f"The judge at {self._url} needs more than {self._timeout_seconds:g} seconds for {games} games: from now "
            f"on it gets {self._games_per_request} at once. A larger judge.timeout_seconds would let it finish"
        )

    def _exchange(self, games: Mapping[int, JudgeQuery], waiting: _Waiting) -> Reply | NoReply:
        """Send ``games``, and again as long as that may help."""
        request = JudgeRequest(queries=[WireQuery.of(query, number) for number, query in games.items()])
        body = request.model_dump_json(exclude_none=True).encode()
        counts = dict.fromkeys(Trouble, 0)
        attempt = 0
        while True:
            outcome = self.ask("/judge", body, self._timeout_seconds)
            problem = _retryable(outcome) if isinstance(outcome, Reply) else outcome
            if problem is None:
                self._tell_of_return()
                waiting.since = None
                return outcome
            counts[problem.trouble] += 1
            is_well = self._health_problem() is None
            if counts[Trouble.BROKEN] >= _MOST_BROKEN or (is_well and counts[Trouble.SLOW] >= _MOST_SLOW):
                return problem
            if problem.trouble is Trouble.SLOW and is_well:
                continue
            asked = _asked_delay(outcome) if isinstance(outcome, Reply) else 0.0
            if not self._pause(problem.reason, max(_delay(attempt), asked), waiting, is_well=is_well):
                return NoReply(Trouble.AWAY, f"the judge could not be asked for too long: {problem.reason}")
            attempt += 1

    def _pause(self, reason: str, seconds: float, waiting: _Waiting, *, is_well: bool) -> bool:
        """Wait for ``seconds``, and then until the service is well. False where patience has run out."""
        waiting.since = self.now() if waiting.since is None else waiting.since
        attempt = 0
        while True:
            waited = self.now() - waiting.since
            if waited >= self._patience_seconds:
                self._notify(f"The judge at {self._url} could not be asked for too long: the games are void")
                return False
            if waited >= _TOLD_AFTER_SECONDS:
                self._tell_of_pause(reason)
            self.sleep(min(seconds, self._patience_seconds - waited))
            if is_well or self._health_problem() is None:
                return True
            attempt += 1
            seconds = _delay(attempt)

    def _health_problem(self) -> NoReply | None:
        outcome = self.ask("/health", None, min(_PROBE_TIMEOUT_SECONDS, self._timeout_seconds))
        # A service without this path may be well all the same.
        return _retryable(outcome) if isinstance(outcome, Reply) else outcome

    def _tell_of_pause(self, reason: str) -> None:
        if self._paused_since is None:
            self._paused_since = self.now()
            self._notify(
                f"The judge at {self._url} doesn't answer: {reason}. The run is paused and goes on when the judge is "
                f"back, within {self._patience_seconds:g} seconds; no game is lost"
            )

    def _tell_of_return(self) -> None:
        if self._paused_since is not None:
            seconds = self.now() - self._paused_since
            self._paused_since = None
            self._notify(f"The judge at {self._url} is back after {seconds:.0f} seconds; the run goes on")

    def ask(self, path: str, body: bytes | None, seconds: float) -> Reply | NoReply:
        """Ask ``path``, with a body or without, and wait so many seconds for the whole reply."""
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

    def now(self) -> float:
        """The time, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def base_url(url: str) -> str:
    """The service's address without the path of a question.

    Raises:
        EndpointError: ``url`` is no address.
    """
    return server_base(url, *JUDGING_PATHS)


def privacy_warning(url: str) -> str | None:
    """What a person should know before the first note leaves this machine; None where none does."""
    return warning_of(url, sent="notes, their corrections and verdicts", receiver="the judge")


def _delay(attempt: int) -> float:
    """Doubles with each attempt; the jitter keeps many clients from coming back all at once."""
    longest = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(attempt, 16))
    return longest * random.uniform(0.5, 1.0)


def _retryable(reply: Reply) -> NoReply | None:
    """What ``reply`` says about coming back later; None where coming back changes nothing."""
    reason = f"it says {_refusal(reply)}"
    if reply.status in (408, 429, 502, 503, 504):
        return NoReply(Trouble.AWAY, reason, is_heard=True)
    return NoReply(Trouble.BROKEN, reason, is_heard=True) if reply.status >= 500 else None


def _asked_delay(reply: Reply) -> float:
    """Seconds that the service asks for, within bounds; a date, which it may send as well, is not understood."""
    asked = (reply.retry_after or "").strip()
    return min(_LONGEST_DELAY_SECONDS, float(asked)) if asked.isascii() and asked.isdigit() else 0.0


_HINTS = {
    401: "set the environment variable that judge.token_variable names to the service's token",
    403: "set the environment variable that judge.token_variable names to the service's token",
    404: "judge.url names no judge there",
}
_SHOWN_CHARACTERS = 200


def _refusal(reply: Reply) -> str:
    """The service's words, for a person to read."""
    told = json_or_none(reply.body)
    detail = told.get("detail", told.get("status", "")) if isinstance(told, dict) else ""
    text = detail if isinstance(detail, str) else json.dumps(detail)
    hint = _HINTS.get(reply.status)
    if not text:
        text = reply.body[:_SHOWN_CHARACTERS].decode("utf-8", "replace")
    words = f"{reply.status} {text[:_SHOWN_CHARACTERS]!a}"
    return f"{words}: {hint}" if hint else words


def json_or_none(body: bytes) -> JsonValue:
    """What ``body`` holds as JSON; None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
