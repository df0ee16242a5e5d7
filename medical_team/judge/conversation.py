"""How a client talks with a judge's service: what to send, when to try again, when to wait, what a failure means.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from pydantic import JsonValue

from ..callbacks import Notify
from ..errors import JudgeError
from ..records import Ruling
from .protocol import JudgeQuery, failure_of
from .wire import JudgeRequest, WireQuery, rulings_of

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


Send = Callable[[str, bytes | None, float], Reply | NoReply]
"""Asks a path, with a body or without, and waits so many seconds for the whole reply."""


@dataclass
class _Waiting:
    """Since when one call waits for a service that it can't ask."""

    since: float | None = None


@dataclass
class Conversation:
    """The state of a client: whether the service is away, and how many games it takes at once."""

    url: str
    judge: str
    """What failures name as their source."""
    send: Send
    games_per_request: int
    timeout_seconds: float
    patience_seconds: float
    notify: Notify
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _paused_since: float | None = None

    def rule(self, queries: Sequence[JudgeQuery]) -> dict[str, Ruling]:
        """A ruling for each of ``queries``, by its game id. Never raises for what a service does."""
        rulings: dict[str, Ruling] = {}
        left = [(next(self._numbers), query) for query in queries]
        waiting = _Waiting()
        while left:
            request, left = left[: self.games_per_request], left[self.games_per_request :]
            rulings |= self._rule_request(dict(request), waiting)
        return rulings

    def wait_until_ready(self) -> None:
        """Wait until the service is loaded, and check that it takes games from us.

        Raises:
            JudgeError: it doesn't, or there is none.
        """
        started = self.clock()
        is_told = False
        while problem := self._health_problem():
            limit = self.patience_seconds
            if not problem.is_heard:
                limit = min(limit, PATIENCE_AT_START_SECONDS)
            if self.clock() - started >= limit:
                raise JudgeError(
                    f"no judge is ready at {self.url}: {problem.reason}. Start one with "
                    "`medical-team judge serve`, or correct judge.url"
                )
            if not is_told:
                self.notify(f"Waiting for the judge at {self.url}: {problem.reason}")
                is_told = True
            self.sleep(_delay(3))
        outcome = self._exchange({}, _Waiting())
        if isinstance(outcome, NoReply):
            raise JudgeError(f"the judge at {self.url} is loaded but takes no games: {outcome.reason}")
        if outcome.status != 200 or json_or_none(outcome.body) != {"labels": []}:
            raise JudgeError(f"{self.url} is no judge that we can ask: {_refusal(outcome)}")

    def _rule_request(self, games: Mapping[int, JudgeQuery], waiting: _Waiting) -> dict[str, Ruling]:
        outcome = self._exchange(games, waiting)
        if isinstance(outcome, Reply):
            if outcome.status == 200:
                return rulings_of(json_or_none(outcome.body), games, self.judge)
            reason = _refusal(outcome)
            is_halved = outcome.status in (413, 422)
        else:
            reason = outcome.reason
            is_halved = outcome.trouble is Trouble.SLOW
        if not is_halved or len(games) == 1:
            return {query.game_id: failure_of(query, self.judge, reason) for query in games.values()}
        if isinstance(outcome, NoReply):
            self._send_fewer(len(games))
        numbered = list(games.items())
        halves = numbered[: len(games) // 2], numbered[len(games) // 2 :]
        return {key: ruling for half in halves for key, ruling in self._rule_request(dict(half), waiting).items()}

    def _send_fewer(self, games: int) -> None:
        self.games_per_request = min(self.games_per_request, math.ceil(games / 2))
        self.notify(
            f"The judge at {self.url} needs more than {self.timeout_seconds:g} seconds for {games} games: from now on "
            f"it gets {self.games_per_request} at once. A larger judge.timeout_seconds would let it finish"
        )

    def _exchange(self, games: Mapping[int, JudgeQuery], waiting: _Waiting) -> Reply | NoReply:
        """Send ``games``, and again as long as that may help."""
        request = JudgeRequest(queries=[WireQuery.of(query, number) for number, query in games.items()])
        body = request.model_dump_json(exclude_none=True).encode()
        counts = dict.fromkeys(Trouble, 0)
        attempt = 0
        while True:
            outcome = self.send("/judge", body, self.timeout_seconds)
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
        waiting.since = self.clock() if waiting.since is None else waiting.since
        attempt = 0
        while True:
            waited = self.clock() - waiting.since
            if waited >= self.patience_seconds:
                self.notify(f"The judge at {self.url} could not be asked for too long: the games are void")
                return False
            if waited >= _TOLD_AFTER_SECONDS:
                self._tell_of_pause(reason)
            self.sleep(min(seconds, self.patience_seconds - waited))
            if is_well or self._health_problem() is None:
                return True
            attempt += 1
            seconds = _delay(attempt)

    def _health_problem(self) -> NoReply | None:
        outcome = self.send("/health", None, min(_PROBE_TIMEOUT_SECONDS, self.timeout_seconds))
        # A service without this path may be well all the same.
        return _retryable(outcome) if isinstance(outcome, Reply) else outcome

    def _tell_of_pause(self, reason: str) -> None:
        if self._paused_since is None:
            self._paused_since = self.clock()
            self.notify(
                f"The judge at {self.url} doesn't answer: {reason}. The run is paused and goes on when the judge is "
                f"back, within {self.patience_seconds:g} seconds; no game is lost"
            )

    def _tell_of_return(self) -> None:
        if self._paused_since is not None:
            seconds = self.clock() - self._paused_since
            self._paused_since = None
            self.notify(f"The judge at {self.url} is back after {seconds:.0f} seconds; the run goes on")


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
