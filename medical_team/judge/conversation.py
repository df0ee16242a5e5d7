"""How a client talks with a judge's service: what to send, when to try again, when to wait, what a failure means.

Nothing here does any input or output. A conversation is a generator that yields steps (:class:`Send`, :class:`Sleep`)
and is given what came of them, so that the synchronous and the asynchronous client follow the same rules:

- Tried again is only what can succeed: connection errors, 408, 429 and 5xx, after a growing, jittered delay, or after
  the one that the service asks for.
- A service that stays away opens the circuit: no games are sent, a person is told, its health is asked for until it is
  back, and then the same games are sent again. Only when patience has run out are they the judge's failures.
- A request that is too large or too slow for the service is halved; a game that it can't read fails alone.
- Labels belong to games by numbers that are never used twice, so that a reply to another request matches nothing.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias, TypeVar, cast

from pydantic import JsonValue, ValidationError
from pydantic_core import PydanticSerializationError

from ..callbacks import Notify
from ..errors import JudgeError
from ..records import Ruling
from .protocol import JudgeQuery
from .wire import WireQuery, failure, rulings_of

MOST_REQUEST_BYTES = 16 * 1024 * 1024
"""A request is split beyond it, well below what a service accepts."""

PATIENCE_AT_START_SECONDS = 60.0
"""A service that never answered at all is waited for no longer than this: its address may be wrong."""

_FIRST_DELAY_SECONDS = 0.25
_LONGEST_DELAY_SECONDS = 15.0
_PROBE_TIMEOUT_SECONDS = 10.0
_RESULT = TypeVar("_RESULT")


class Trouble(Enum):
    """Why there is no reply."""

    AWAY = "away"
    """Nothing listens, or what listens says that it can't take games now."""
    BROKEN = "broken"
    """The service failed in the middle of its answer, or says that it failed."""
    SLOW = "slow"
    """The answer took too long."""


@dataclass(frozen=True)
class Send:
    """Send a request."""

    method: str
    path: str
    body: bytes | None
    timeout_seconds: float


@dataclass(frozen=True)
class Sleep:
    """Wait before the next step."""

    seconds: float


@dataclass(frozen=True)
class Reply:
    """A service's whole reply."""

    status: int
    body: bytes
    retry_after: str | None = None


@dataclass(frozen=True)
class NoReply:
    """There is none, and why."""

    trouble: Trouble
    reason: str
    is_heard: bool = False
    """Whether something answered, and said that it can't now."""


Outcome: TypeAlias = Reply | NoReply
Steps: TypeAlias = Generator[Send | Sleep, Outcome | None, _RESULT]


@dataclass(frozen=True)
class Patience:
    """How long a conversation waits, in seconds."""

    timeout: float = 60.0
    """For one answer."""
    retries: float = 5.0
    """For further tries before the service counts as away."""
    away: float = 600.0
    """For a service that is away."""
    broken_trials: int = 3
    """Not seconds: how often the same games are sent again to a service that is healthy and fails at them."""
    slow_trials: int = 2
    """How often the same games may take too long before fewer are sent."""


@dataclass
class Conversation:
    """The state of a client: whether the service is away, and how many games it takes at once."""

    url: str
    judge: str
    """What failures name as their source."""
    games_per_request: int
    patience: Patience
    notify: Notify
    clock: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.Random)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _away_since: float | None = None

    def rule(self, queries: Sequence[JudgeQuery]) -> Steps[dict[str, Ruling]]:
        """A ruling for each of ``queries``, by its game id. Never raises for what a service does."""
        rulings: dict[str, Ruling] = {}
        numbered = [self._numbered(query) for query in queries]
        rulings |= self._failures([game for game in numbered if not game.body], "the note is no valid Unicode")
        games = [game for game in numbered if game.body]
        waiting = _Waiting(self.patience.away)
        while games:
            rulings |= yield from self._rule_request(self._take_request(games), waiting)
        return rulings

    def wait_until_ready(self) -> Steps[None]:
        """Wait until the service is loaded, and check that it takes games from us.

        Raises:
            JudgeError: it doesn't, or there is none.
        """
        started = self.clock()
        is_told = False
        while (problem := (yield from self._health_problem())) is not None:
            limit = self.patience.away if problem.is_heard else min(self.patience.away, PATIENCE_AT_START_SECONDS)
            if self.clock() - started >= limit:
                raise JudgeError(
                    f"no judge is ready at {self.url}: {problem.reason}. Start one with "
                    "`medical-team judge serve`, or correct judge.url"
                )
            if not is_told:
                self.notify(f"Waiting for the judge at {self.url}: {problem.reason}")
                is_told = True
            yield Sleep(self._delay(3))
        outcome = yield from self._exchange(b'{"queries":[]}')
        if isinstance(outcome, NoReply):
            raise JudgeError(f"the judge at {self.url} is loaded but takes no games: {outcome.reason}")
        if outcome.status != 200 or json_or_none(outcome.body) != {"labels": []}:
            raise JudgeError(f"{self.url} is no judge that we can ask: {_refusal(outcome)}")

    def _numbered(self, query: JudgeQuery) -> _Game:
        number = next(self._numbers)
        try:
            return _Game(number, query, WireQuery.of(query, number).model_dump_json(exclude_none=True).encode())
        except (PydanticSerializationError, ValidationError, UnicodeEncodeError):
            return _Game(number, query, b"")

    def _take_request(self, games: list[_Game]) -> list[_Game]:
        """The first of ``games`` that make one request; they are taken off."""
        size, count = 0, 0
        for game in games[: self.games_per_request]:
            size += len(game.body)
            if count and size > MOST_REQUEST_BYTES:
                break
            count += 1
        request = games[:count]
        del games[:count]
        return request

    def _rule_request(self, games: list[_Game], waiting: _Waiting) -> Steps[dict[str, Ruling]]:
        body = b'{"queries":[' + b",".join(game.body for game in games) + b"]}"
        broken = slow = 0
        while True:
            if self._away_since is not None and not (yield from self._wait_for_return(waiting)):
                return self._failures(games, "the judge could not be asked for too long")
            outcome = yield from self._exchange(body)
            if isinstance(outcome, Reply):
                return (yield from self._rulings_of_reply(outcome, games, waiting))
            broken += outcome.trouble is Trouble.BROKEN
            if broken > self.patience.broken_trials:
                return self._failures(games, outcome.reason)
            if outcome.trouble is Trouble.SLOW and (yield from self._health_problem()) is None:
                slow += 1
                if slow >= self.patience.slow_trials:
                    return (yield from self._rule_slowly(games, waiting, outcome.reason))
                continue
            self._open_circuit(outcome.reason)
            yield Sleep(self._delay(broken))

    def _rulings_of_reply(self, reply: Reply, games: list[_Game], waiting: _Waiting) -> Steps[dict[str, Ruling]]:
        if reply.status == 200:
            queries = {game.number: game.query for game in games}
            return rulings_of(json_or_none(reply.body), queries, self.judge)
        if reply.status == 413 and len(games) > 1:
            return (yield from self._rule_in_halves(games, waiting))
        if reply.status == 422:
            unread = _unread_games(reply.body, len(games))
            if unread and len(unread) < len(games):
                refused = [game for index, game in enumerate(games) if index in unread]
                rest = [game for index, game in enumerate(games) if index not in unread]
                rulings = yield from self._rule_request(rest, waiting)
                return rulings | self._failures(refused, _refusal(reply))
        return self._failures(games, _refusal(reply))

    def _rule_slowly(self, games: list[_Game], waiting: _Waiting, reason: str) -> Steps[dict[str, Ruling]]:
        if len(games) == 1:
            return self._failures(games, reason)
        self.games_per_request = min(self.games_per_request, math.ceil(len(games) / 2))
        self.notify(
            f"The judge at {self.url} needs more than {self.patience.timeout:g} seconds for {len(games)} games: from "
            f"now on it gets {self.games_per_request} at once. A larger judge.timeout_seconds would let it finish"
        )
        return (yield from self._rule_in_halves(games, waiting))

    def _rule_in_halves(self, games: list[_Game], waiting: _Waiting) -> Steps[dict[str, Ruling]]:
        middle = len(games) // 2
        first = yield from self._rule_request(games[:middle], waiting)
        second = yield from self._rule_request(games[middle:], waiting)
        return first | second

    def _exchange(self, body: bytes) -> Steps[Outcome]:
        """Send ``body``, and again as long as that may help. A reply is final; no reply means: not now."""
        started, attempt = self.clock(), 0
        longest = min(self.patience.retries, self.patience.away)
        while True:
            outcome = yield from _answered(Send("POST", "/judge", body, self.patience.timeout))
            problem = _retryable(outcome) if isinstance(outcome, Reply) else outcome
            if problem is None:
                self._close_circuit()
                return outcome
            asked = _asked_delay(outcome) if isinstance(outcome, Reply) else 0.0
            delay = max(self._delay(attempt), asked)
            if problem.trouble is Trouble.SLOW or self.clock() - started + delay > longest:
                return problem
            yield Sleep(delay)
            attempt += 1

    def _wait_for_return(self, waiting: _Waiting) -> Steps[bool]:
        """Ask for the service's health until it is well. False when that took longer than patience allows."""
        attempt = 0
        while True:
            left = waiting.left(self.clock())
            problem = yield from self._health_problem()
            if left > 0 and problem is None:
                return True
            if left <= 0:
                self.notify(f"The judge at {self.url} could not be asked for too long: the games are void")
                return False
            yield Sleep(min(self._delay(attempt), left))
            attempt += 1

    def _health_problem(self) -> Steps[NoReply | None]:
        timeout = min(_PROBE_TIMEOUT_SECONDS, self.patience.timeout)
        outcome = yield from _answered(Send("GET", "/health", None, timeout))
        if isinstance(outcome, Reply):
            # A service without this path may be well all the same.
            return _retryable(outcome)
        return outcome

    def _open_circuit(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = self.clock()
            self.notify(
                f"The judge at {self.url} doesn't answer: {reason}. The run is paused and goes on when the judge is "
                f"back, within {self.patience.away:g} seconds; no game is lost"
            )

    def _close_circuit(self) -> None:
        if self._away_since is not None:
            seconds = self.clock() - self._away_since
            self._away_since = None
            self.notify(f"The judge at {self.url} is back after {seconds:.0f} seconds; the run goes on")

    def _failures(self, games: Sequence[_Game], reason: str) -> dict[str, Ruling]:
        return {game.query.game_id: failure(game.query, self.judge, reason) for game in games}

    def _delay(self, attempt: int) -> float:
        """Doubles with each attempt; the jitter keeps many clients from coming back all at once."""
        longest = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(attempt, 16))
        return longest * self.chance.uniform(0.5, 1.0)


@dataclass(frozen=True)
class _Game:
    number: int
    query: JudgeQuery
    body: bytes
    """The query in JSON; empty where its text can't be written so."""


@dataclass
class _Waiting:
    """How long one call may still wait for a service that is away. The clock starts when it first is."""

    patience: float
    deadline: float | None = None

    def left(self, now: float) -> float:
        self.deadline = now + self.patience if self.deadline is None else self.deadline
        return self.deadline - now


def _answered(request: Send) -> Steps[Outcome]:
    outcome = yield request
    if outcome is None:
        raise TypeError("who follows a conversation answers each request with what came of it")
    return outcome


def _retryable(reply: Reply) -> NoReply | None:
    """What ``reply`` says about coming back later; None where coming back changes nothing."""
    reason = f"it says {_refusal(reply)}"
    if reply.status in (408, 429, 502, 503, 504):
        return NoReply(Trouble.AWAY, reason, is_heard=True)
    return NoReply(Trouble.BROKEN, reason, is_heard=True) if reply.status >= 500 else None


def _asked_delay(reply: Reply) -> float:
    """Seconds that the service asks for; a date, which it may send as well, is not understood."""
    asked = (reply.retry_after or "").strip()
    return float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 0.0


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


def _unread_games(body: bytes, games: int) -> set[int]:
    """The places of the queries that a 422 names."""
    told = json_or_none(body)
    problems = told.get("detail") if isinstance(told, dict) else None
    places: set[int] = set()
    for problem in cast("list[JsonValue]", problems if isinstance(problems, list) else []):
        where = problem.get("loc") if isinstance(problem, dict) else None
        if isinstance(where, list) and len(where) > 2 and where[:2] == ["body", "queries"]:
            place = where[2]
            if type(place) is int and 0 <= place < games:
                places.add(place)
    return places


def json_or_none(body: bytes) -> JsonValue:
    """What ``body`` holds as JSON; None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
