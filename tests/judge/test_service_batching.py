"""Many clients, one judge: merged, in turn, bounded, and nobody spoils it for the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from serving import WordJudge

from medical_team.judge.protocol import JudgeQuery
from medical_team.judge.service.batching import BatchingWorker, NotNow, ServiceSettings, ServiceState
from medical_team.records import JudgeFailure, Labels, Verdict


class Counting:
    def __init__(self) -> None:
        self.outcomes: list[Mapping[str, int]] = []

    def batch_ruled(self, games: int, seconds: float, outcomes: Mapping[str, int]) -> None:
        self.outcomes.append(outcomes)


def queries(*notes: str) -> list[JudgeQuery]:
    """Each under the same id, as two clients might have it."""
    return [JudgeQuery("0", note, Verdict.SAFE) for note in notes]


def working(judge: WordJudge, observer: Counting | None = None, **settings: Any) -> BatchingWorker:
    worker = BatchingWorker(lambda: judge, ServiceSettings(**settings), observer or Counting())
    worker.start()
    while worker.state is ServiceState.LOADING:
        threading.Event().wait(0.001)
    return worker


def wait_until(condition: Callable[..., Any]) -> None:
    while not condition():
        threading.Event().wait(0.001)


@pytest.fixture
def judge() -> Iterator[WordJudge]:
    judge = WordJudge()
    yield judge
    judge.gate.set()


def held(judge: WordJudge, worker: BatchingWorker):
    """The judge at work on a first game, so that what comes now waits."""
    judge.gate.clear()
    first = worker.submit(queries("first"))
    wait_until(lambda: judge.batches)
    return first


def test_requests_that_wait_are_ruled_on_together_and_each_gets_its_own(judge: WordJudge) -> None:
    worker = working(judge)
    held(judge, worker)
    futures = [worker.submit(queries(f"{number} error", f"{number} fine")) for number in range(10)]
    judge.gate.set()

    for number, future in enumerate(futures):
        assert [ruling.reason for ruling in future.result()] == [f"{number} error", f"{number} fine"]
        assert [ruling.error_present for ruling in future.result() if isinstance(ruling, Labels)] == [True, False]
    assert [len(batch) for batch in judge.batches] == [1, 20]


def test_an_idle_judge_waits_a_moment_for_company(judge: WordJudge) -> None:
    worker = working(judge, batch_size=2, batch_wait_seconds=60)

    first, second = worker.submit(queries("one")), worker.submit(queries("two"))

    assert first.result()[0].reason == "one"
    assert second.result()[0].reason == "two"
    assert judge.batches == [["one", "two"]]


def test_a_large_request_does_not_hold_up_a_small_one(judge: WordJudge) -> None:
    worker = working(judge, batch_size=4)
    held(judge, worker)
    large = worker.submit(queries(*(f"large {number}" for number in range(12))))
    small = worker.submit(queries("small"))
    judge.gate.set()

    assert [ruling.reason for ruling in large.result()] == [f"large {number}" for number in range(12)]
    assert small.result()[0].reason == "small"
    order = [batch for batch in judge.batches if "small" in batch]
    assert judge.batches.index(order[0]) == 2


def test_one_bad_game_spoils_no_other(judge: WordJudge) -> None:
    counting = Counting()
    worker = working(judge, counting)

    rulings = worker.submit(queries("error", "crash", "unclear", "skip", "fine")).result()

    assert [isinstance(ruling, Labels) for ruling in rulings] == [True, False, False, False, True]
    assert "tripped" in rulings[1].reason
    assert "left the game out" in rulings[3].reason
    failures = [ruling.is_abstention for ruling in rulings if isinstance(ruling, JudgeFailure)]
    assert failures == [False, True, False]
    assert counting.outcomes == [{"decided": 2, "failed": 2, "abstained": 1}]


def test_a_judge_that_answers_with_anything_at_all_fails_and_does_not_crash() -> None:
    class Odd(WordJudge):
        def rule(self, queries: Sequence[JudgeQuery]) -> Any:
            return {
                query.game_id: ["odd", Labels("else", True, True, "", "")][index % 2]
                for index, query in enumerate(queries)
            }

    rulings = working(Odd()).submit(queries("a", "b")).result()

    assert all(isinstance(ruling, JudgeFailure) for ruling in rulings)
    assert "another game's ruling" in rulings[1].reason


def test_too_many_games_are_refused_and_told_when_to_come_back(judge: WordJudge) -> None:
    worker = working(judge, max_waiting=5)
    held(judge, worker)
    waiting = worker.submit(queries("a", "b", "c"))

    with pytest.raises(NotNow) as refusal:
        worker.submit(queries("d", "e", "f"))

    assert refusal.value.is_overload
    assert 1 <= refusal.value.retry_seconds <= 60
    judge.gate.set()
    assert len(waiting.result()) == 3
    assert len(worker.submit(queries("d", "e", "f")).result()) == 3


def test_a_request_larger_than_the_limit_is_taken_when_nothing_waits(judge: WordJudge) -> None:
    assert len(working(judge, max_waiting=2).submit(queries("a", "b", "c")).result()) == 3


def test_games_that_nobody_waits_for_any_more_are_not_ruled_on(judge: WordJudge) -> None:
    worker = working(judge)
    held(judge, worker)
    given_up, waiting = worker.submit(queries("given up")), worker.submit(queries("wanted"))
    assert given_up.cancel()
    assert worker.waiting == 1
    judge.gate.set()

    waiting.result()
    assert judge.batches == [["first"], ["wanted"]]


def test_closing_finishes_what_was_accepted(judge: WordJudge) -> None:
    worker = working(judge, batch_size=2)
    first = held(judge, worker)
    waiting = worker.submit(queries("a", "b", "c"))
    worker.close()
    judge.gate.set()

    assert len(first.result()) == 1
    assert len(waiting.result()) == 3


def test_a_judge_that_cannot_be_loaded_is_told_of_and_asked_nothing() -> None:
    told: list[Exception] = []
    done = threading.Event()

    def load() -> WordJudge:
        raise OSError("no such model")

    def on_failure(error: Exception) -> None:
        told.append(error)
        done.set()

    worker = BatchingWorker(load, ServiceSettings(), Counting(), on_failure)
    worker.start()
    done.wait()

    assert str(told[0]) == "no such model"
    assert worker.state is ServiceState.FAILED
    with pytest.raises(NotNow):
        worker.submit(queries("a"))
