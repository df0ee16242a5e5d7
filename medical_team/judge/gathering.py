"""One judge for many callers on an event loop: they are gathered into batches, on which it rules in a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import TypeVar

from ..records import Ruling
from .protocol import Judge, JudgeQuery, checked_rulings, failed_rulings

ResultT = TypeVar("ResultT")
OnBatch = Callable[[Sequence[Ruling], float], None]
"""Given the rulings of a batch, and in how many seconds the judge made them."""


class JudgeThreads:
    """Threads for what would hold an event loop up. No end of the process waits for them: a judge may hang."""

    def __init__(self, count: int = 1) -> None:
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for _ in range(count):
            threading.Thread(target=self._serve, name="judge", daemon=True).start()

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """What ``work`` returns or raises."""
        future: Future[ResultT] = Future()

        def settle() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - it is the caller's, in another thread
                    future.set_exception(error)

        self._work.put(settle)
        return await asyncio.wrap_future(future)

    def _serve(self) -> None:
        while True:
            self._work.get()()


@dataclass(eq=False)
class _Call:
    """One caller's queries, and the future that it awaits."""

    queries: Sequence[JudgeQuery]
    answer: asyncio.Future[list[Ruling]]
    rulings: dict[int, Ruling] = field(default_factory=dict[int, Ruling])
    taken: int = 0

    def add(self, place: int, ruling: Ruling) -> None:
        # Two callers number their games alike: the judge was asked under other ids.
        self.rulings[place] = replace(ruling, game_id=self.queries[place].game_id)
        if len(self.rulings) == len(self.queries) and not self.answer.done():
            self.answer.set_result([self.rulings[place] for place in range(len(self.queries))])


class GatheringJudge:
    """Asks ``judge`` at most ``calls`` times at once; what is asked meanwhile goes to it together.

    A judge that is asked game by game so rules in batches, and is never flooded. Batches take from the callers in turn,
    so that a large call doesn't hold up a small one. One bad game spoils no other.

    Args:
        judge: asked in threads.
        calls: how many may be under way; more than 1 for a judge that several threads may use.
        batch_size: games that it is asked about at once.
        on_batch: told what came of each batch.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        calls: int = 1,
        batch_size: int = 1024,
        on_batch: OnBatch = lambda rulings, seconds: None,
        threads: JudgeThreads | None = None,
    ) -> None:
        self.name = judge.name
        self._judge = judge
        self._calls = calls
        self._batch_size = batch_size
        self._on_batch = on_batch
        self._threads = threads or JudgeThreads(calls)
        self._waiting: deque[_Call] = deque()
        self._working = 0
        # A task that nobody holds may be collected.
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Games that wait for the judge."""
        return sum(len(call.queries) - call.taken for call in self._waiting)

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. Never raises for what the judge does."""
        return {ruling.game_id: ruling for ruling in await self.rule_in_order(queries)}

    async def rule_in_order(self, queries: Sequence[JudgeQuery]) -> list[Ruling]:
        """A ruling for each query, in order; two may share an id. The games of a caller that goes away are dropped."""
        if not queries:
            return []
        call = _Call(queries, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._working < self._calls:
            self._working += 1
            task = asyncio.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            return await call.answer
        finally:
            if call in self._waiting:
                self._waiting.remove(call)

    async def _work(self) -> None:
        try:
            while batch := self._next_batch():
                await self._rule(batch)
        finally:
            # Also where the loop ends in the middle: another one may use this judge.
            self._working -= 1

    async def _rule(self, batch: Sequence[tuple[_Call, int]]) -> None:
        queries = [replace(call.queries[place], game_id=str(number)) for number, (call, place) in enumerate(batch)]
        started = time.perf_counter()
        rulings = await self._threads.run(lambda: rule_each(self._judge, queries))
        self._on_batch(rulings, time.perf_counter() - started)
        for (call, place), ruling in zip(batch, rulings, strict=True):
            call.add(place, ruling)

    def _next_batch(self) -> list[tuple[_Call, int]]:
        batch: list[tuple[_Call, int]] = []
        while self._waiting and len(batch) < self._batch_size:
            call = self._waiting.popleft()
            end = min(call.taken + self._batch_size - len(batch), len(call.queries))
            batch.extend((call, place) for place in range(call.taken, end))
            call.taken = end
            if end < len(call.queries):
                self._waiting.append(call)
        return batch


def rule_each(judge: Judge, queries: Sequence[JudgeQuery]) -> list[Ruling]:
    """A ruling for each of ``queries``, whatever the judge does: what it leaves out, or raises at, is a failure."""
    try:
        return checked_rulings(judge.rule(queries), queries, judge.name)
    except Exception as error:  # noqa: BLE001 - a judge may be any code; one game's trouble must stay that game's
        if len(queries) == 1:
            return failed_rulings(error, queries, judge.name)
    middle = len(queries) // 2
    return [*rule_each(judge, queries[:middle]), *rule_each(judge, queries[middle:])]
