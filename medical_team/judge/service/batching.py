"""One judge for many clients: requests are merged into batches, on which the judge rules in a thread. What the
service allows is said by its settings."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from math import isfinite
from typing import Protocol, cast

from ...errors import UsageError
from ...records import JudgeFailure, Labels, Ruling, Verdict
from ..protocol import Judge, JudgeQuery


@dataclass(frozen=True)
class ServiceSettings:
    """Limits are what keeps one client, or one game, from taking the service away from the others."""

    batch_size: int = 64
    """Games that the judge is asked about at once; requests of many clients are merged up to it."""
    batch_wait_seconds: float = 0.005
    """How long an idle judge waits for more games before it rules on those that are there."""
    max_queries: int = 4096
    """Most games in one request; more get 413."""
    max_body_bytes: int = 64 * 1024 * 1024
    """Largest body of a request; a larger one gets 413."""
    max_text_characters: int = 1_000_000
    """Longest note or reply; a longer one gets 422. A judge may refuse shorter ones, which fails that game alone."""
    max_waiting: int = 65_536
    """Games that may wait for the judge, of all clients; beyond it requests get 429 and when to come back."""
    max_waiting_bytes: int = 512 * 1024 * 1024
    """Bytes of all requests in work; beyond it requests get 429."""
    body_seconds: float = 60.0
    """How long a client may take to send a request's header, then it is hung up on; and as long its body, then it gets
    408."""
    drain_seconds: float = 600.0
    """How long accepted work may take after SIGTERM."""
    failure_reward: float | None = None
    """What /get_reward says of a game that the judge couldn't rule on; unset: null, which no trainer can overlook."""

    def __post_init__(self) -> None:
        values = {name: value for name, value in vars(self).items() if value is not None}
        problems = [
            f"{name} is {value}, expected a finite number" for name, value in values.items() if not _is_finite(value)
        ]
        problems += [
            f"{name} is {value}, expected more than 0"
            for name, value in values.items()
            if name not in ("batch_wait_seconds", "failure_reward") and value <= 0
        ]
        if self.batch_wait_seconds < 0:
            problems.append(f"batch_wait_seconds is {self.batch_wait_seconds}, expected at least 0")
        if problems:
            raise UsageError("; ".join(problems))


def _is_finite(value: float) -> bool:
    # Whole numbers of any length are.
    return isinstance(value, int) or isfinite(value)


LONGEST_RETRY_SECONDS = 60
_LOADING_RETRY_SECONDS = 2
_SPEED_MEMORY = 0.8


class ServiceState(Enum):
    """Whether the judge can be asked."""

    LOADING = "loading"
    HEALTHY = "healthy"
    FAILED = "failed"
    """The judge could not be loaded, or its thread has died."""


class NotNow(Exception):  # noqa: N818 - no error: the caller comes back later
    """The request can't be taken now."""

    def __init__(self, reason: str, retry_seconds: int, *, is_overload: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_seconds = retry_seconds
        self.is_overload = is_overload


class BatchObserver(Protocol):
    """Who counts what the worker does. Called from the worker's thread."""

    def batch_ruled(self, games: int, seconds: float, outcomes: Mapping[str, int]) -> None:
        """The judge ruled on a batch; ``outcomes`` counts decided, abstained and failed games."""
        ...


@dataclass(eq=False)
class _Job:
    """One request. Touched by the worker's thread alone once it is queued, but for its future."""

    queries: Sequence[JudgeQuery]
    future: Future[list[Ruling]] = field(default_factory=lambda: Future[list[Ruling]]())
    rulings: list[Ruling] = field(default_factory=lambda: list[Ruling]())
    taken: int = 0


class BatchingWorker:
    """Loads a judge and lets it rule in a thread of its own.

    Args:
        load: makes the judge; called in the thread, so that the service can answer meanwhile.
        settings: sizes, waiting time, limits.
        observer: counts what happens.
        on_failure: told when the judge can't be loaded, with the error.
    """

    def __init__(
        self,
        load: Callable[[], Judge],
        settings: ServiceSettings,
        observer: BatchObserver,
        on_failure: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self._load = load
        self._settings = settings
        self._observer = observer
        self._on_failure = on_failure
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._state = ServiceState.LOADING
        self._waiting = 0
        self._games_per_second = 0.0
        self._is_closing = False
        # A daemon: who ends the process for good doesn't wait for a judge that hangs.
        self._thread = threading.Thread(target=self._work, name="judge", daemon=True)

    @property
    def state(self) -> ServiceState:
        """Whether the judge can be asked."""
        if self._state is ServiceState.HEALTHY and not self._thread.is_alive() and not self._is_closing:
            return ServiceState.FAILED
        return self._state

    @property
    def waiting(self) -> int:
        """Games that were accepted and wait for the judge."""
        return self._waiting

    @property
    def is_full(self) -> bool:
        """Whether no further game is taken at the moment."""
        return self._waiting >= self._settings.max_waiting

    def start(self) -> None:
        """Begin to load the judge."""
        self._thread.start()

    def close(self) -> None:
        """Let the thread end when all accepted work is done."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def submit(self, queries: Sequence[JudgeQuery]) -> Future[list[Ruling]]:
        """Accept ``queries``; the future gives a ruling for each, in their order. Cancel it when nobody waits any more.

        Raises:
            NotNow: the judge isn't loaded, or too many games wait already.
        """
        if self.state is not ServiceState.HEALTHY:
            reason = f"the judge is {self.state.value}"
            raise NotNow(reason, _LOADING_RETRY_SECONDS, is_overload=False)
        job = _Job(queries)
        if not queries:
            job.future.set_result([])
            return job.future
        with self._changed:
            # Whatever its size, a request is taken when nothing else waits: else it could never be.
            if self._waiting and self._waiting + len(queries) > self._settings.max_waiting:
                reason = f"{self._waiting} games wait for the judge already"
                raise NotNow(reason, self._retry_seconds(), is_overload=True)
            self._waiting += len(queries)
            self._jobs.append(job)
            self._changed.notify()
        job.future.add_done_callback(lambda future: self._forget(job) if future.cancelled() else None)
        return job.future

    def _forget(self, job: _Job) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._waiting -= len(job.queries) - job.taken

    def _retry_seconds(self) -> int:
        seconds = self._waiting / self._games_per_second if self._games_per_second else _LOADING_RETRY_SECONDS
        return max(1, min(LONGEST_RETRY_SECONDS, math.ceil(seconds)))

    def _work(self) -> None:
        try:
            judge = self._load()
        except Exception as error:  # noqa: BLE001 - a judge may be any code; who started the service is told
            self._state = ServiceState.FAILED
            self._on_failure(error)
            return
        self._state = ServiceState.HEALTHY
        while batch := self._next_batch():
            self._rule(judge, batch)

    def _next_batch(self) -> list[tuple[_Job, JudgeQuery]]:
        """Waits for games; empty when the worker is closed and nothing is left."""
        with self._changed:
            batch: list[tuple[_Job, JudgeQuery]] = []
            # Empty again where all that waited was cancelled.
            while not batch and (self._jobs or not self._is_closing):
                self._changed.wait_for(lambda: self._jobs or self._is_closing)
                self._changed.wait_for(
                    lambda: self._waiting >= self._settings.batch_size or self._is_closing,
                    self._settings.batch_wait_seconds,
                )
                batch = self._take_batch()
            return batch

    def _take_batch(self) -> list[tuple[_Job, JudgeQuery]]:
        batch: list[tuple[_Job, JudgeQuery]] = []
        while self._jobs and len(batch) < self._settings.batch_size:
            job = self._jobs.popleft()
            end = min(job.taken + self._settings.batch_size - len(batch), len(job.queries))
            batch.extend((job, query) for query in job.queries[job.taken : end])
            job.taken = end
            if end < len(job.queries):
                self._jobs.append(job)
        self._waiting -= len(batch)
        return batch

    def _rule(self, judge: Judge, batch: Sequence[tuple[_Job, JudgeQuery]]) -> None:
        # Two clients number their games alike.
        queries = [
            JudgeQuery(str(number), query.note, query.verdict, query.pair, query.data_type)
            for number, (_, query) in enumerate(batch)
        ]
        started = time.perf_counter()
        rulings = rule_each(judge, queries)
        seconds = time.perf_counter() - started
        speed = len(batch) / max(seconds, 1e-6)
        memory = _SPEED_MEMORY if self._games_per_second else 0.0
        self._games_per_second = memory * self._games_per_second + (1 - memory) * speed
        self._observer.batch_ruled(len(batch), seconds, Counter(map(outcome_of, rulings)))
        for (job, _), ruling in zip(batch, rulings, strict=True):
            job.rulings.append(ruling)
            if len(job.rulings) == len(job.queries) and job.future.set_running_or_notify_cancel():
                job.future.set_result(job.rulings)


def rule_each(judge: Judge, queries: Sequence[JudgeQuery]) -> list[Ruling]:
    """A ruling for each of ``queries``, whatever the judge does: what it leaves out, or raises at, is a failure."""
    try:
        answer = cast("Mapping[object, object]", judge.rule(queries))
    except Exception as error:  # noqa: BLE001 - a judge may be any code; one game's trouble must stay that game's
        if len(queries) > 1:
            middle = len(queries) // 2
            return [*rule_each(judge, queries[:middle]), *rule_each(judge, queries[middle:])]
        return [_failure(query, judge, f"the judge failed: {type(error).__name__}: {error}") for query in queries]
    return [_checked(answer.get(query.game_id), query, judge) for query in queries]


def outcome_of(ruling: Ruling) -> str:
    """``decided``, ``abstained`` or ``failed``."""
    if isinstance(ruling, Labels):
        return "decided"
    return "abstained" if ruling.is_abstention else "failed"


def warmed_up(judge: Judge) -> Judge:
    """``judge`` after a first question, so that the first client doesn't wait for what it sets up at first use."""
    judge.rule([JudgeQuery("warm-up", "A note that is nobody's.", Verdict.SAFE)])
    return judge


def _checked(ruling: object, query: JudgeQuery, judge: Judge) -> Ruling:
    if not isinstance(ruling, (Labels, JudgeFailure)):
        reason = "the judge left the game out" if ruling is None else f"the judge gave a {type(ruling).__name__}"
        return _failure(query, judge, reason)
    if ruling.game_id != query.game_id:
        return _failure(query, judge, "the judge gave it another game's ruling")
    return ruling


def _failure(query: JudgeQuery, judge: Judge, reason: str) -> JudgeFailure:
    return JudgeFailure(query.game_id, is_abstention=False, source=judge.name, reason=reason)
