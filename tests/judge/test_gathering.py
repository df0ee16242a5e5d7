"""Many callers, one judge: merged, in turn, bounded, and nobody spoils it for the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import pytest
from fault_server import fault_server
from serving import WordJudge

from builders import a_pair
from medical_team.config import JudgeConfig
from medical_team.judge.gathering import GatheringJudge
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import make_async_judge
from medical_team.records import JudgeFailure, Labels, Ruling, Verdict

ResultT = TypeVar("ResultT")


def queries(*notes: str) -> list[JudgeQuery]:
    """Each under the same id, as two callers might have it."""
    return [JudgeQuery("0", note, Verdict.SAFE) for note in notes]


def reasons(rulings: Sequence[Ruling]) -> list[str]:
    return [ruling.reason for ruling in rulings]


@pytest.fixture
def judge() -> Iterator[WordJudge]:
    judge = WordJudge()
    yield judge
    judge.gate.set()


async def wait_until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def held(judge: WordJudge, gathering: GatheringJudge) -> asyncio.Task[list[Ruling]]:
    """The judge at work on a first game, so that what comes now waits."""
    judge.gate.clear()
    first = asyncio.create_task(gathering.rule_in_order(queries("first")))
    await wait_until(lambda: judge.batches)
    return first


def after_a_first_game(
    judge: WordJudge, *asked: Sequence[JudgeQuery], **options: Any
) -> tuple[GatheringJudge, list[list[Ruling]]]:
    """What each of ``asked`` gets, all of which wait for a first game."""
    gathering = GatheringJudge(judge, **options)

    async def ask() -> list[list[Ruling]]:
        first = await held(judge, gathering)
        tasks = [asyncio.create_task(gathering.rule_in_order(each)) for each in asked]
        await wait_until(lambda: gathering.waiting == sum(map(len, asked)))
        judge.gate.set()
        await first
        return await asyncio.gather(*tasks)

    return gathering, asyncio.run(ask())


def test_calls_that_wait_are_ruled_on_together_and_each_gets_its_own(judge: WordJudge) -> None:
    _, answers = after_a_first_game(judge, *(queries(f"{number} error", f"{number} fine") for number in range(10)))

    for number, rulings in enumerate(answers):
        assert reasons(rulings) == [f"{number} error", f"{number} fine"]
        assert [ruling.error_present for ruling in rulings if isinstance(ruling, Labels)] == [True, False]
        assert {ruling.game_id for ruling in rulings} == {"0"}
    assert [len(batch) for batch in judge.batches] == [1, 20]


def test_a_large_call_does_not_hold_up_a_small_one(judge: WordJudge) -> None:
    large, small = queries(*(f"large {number}" for number in range(12))), queries("small")
    _, answers = after_a_first_game(judge, large, small, batch_size=4)

    assert [reasons(answer) for answer in answers] == [[query.note for query in large], ["small"]]
    assert ["small" in batch for batch in judge.batches] == [False, False, True, False, False]


def test_one_bad_game_spoils_no_other(judge: WordJudge) -> None:
    seen: list[Sequence[Ruling]] = []
    gathering = GatheringJudge(judge, on_batch=lambda rulings, seconds: seen.append(rulings))

    rulings = asyncio.run(gathering.rule_in_order(queries("error", "crash", "unclear", "skip", "fine")))

    assert [isinstance(ruling, Labels) for ruling in rulings] == [True, False, False, False, True]
    assert "tripped" in rulings[1].reason
    assert "left the game out" in rulings[3].reason
    failures = [ruling.is_abstention for ruling in rulings if isinstance(ruling, JudgeFailure)]
    assert failures == [False, True, False]
    assert [reasons(batch) for batch in seen] == [reasons(rulings)]


def test_a_judge_that_answers_with_anything_at_all_fails_and_does_not_crash() -> None:
    class Odd(WordJudge):
        def rule(self, queries: Sequence[JudgeQuery]) -> Any:
            return {
                query.game_id: ["odd", Labels("else", True, True, "", "")][index % 2]
                for index, query in enumerate(queries)
            }

    rulings = asyncio.run(GatheringJudge(Odd()).rule_in_order(queries("a", "b")))

    assert all(isinstance(ruling, JudgeFailure) for ruling in rulings)
    assert "the ruling of game 'else'" in rulings[1].reason


def test_several_calls_may_be_under_way_but_not_more_than_said(judge: WordJudge) -> None:
    async def ask() -> int:
        gathering = GatheringJudge(judge, calls=3)
        judge.gate.clear()
        tasks: list[asyncio.Task[Mapping[str, Ruling]]] = []
        for number in range(10):
            tasks.append(asyncio.create_task(gathering.rule([JudgeQuery(str(number), "a note", Verdict.SAFE)])))
            await wait_until(lambda number=number: len(judge.batches) == min(3, number + 1))
        await asyncio.sleep(0.01)
        under_way = len(judge.batches)
        judge.gate.set()
        for number, rulings in enumerate(await asyncio.gather(*tasks)):
            assert rulings.keys() == {str(number)}
        return under_way

    assert asyncio.run(ask()) == 3


def test_games_of_a_caller_that_went_away_are_not_ruled_on(judge: WordJudge) -> None:
    async def ask() -> list[Ruling]:
        gathering = GatheringJudge(judge)
        await held(judge, gathering)
        given_up, waiting = (
            asyncio.create_task(gathering.rule_in_order(queries(note))) for note in ("given up", "wanted")
        )
        await wait_until(lambda: gathering.waiting == 2)
        given_up.cancel()
        await wait_until(lambda: gathering.waiting == 1)
        judge.gate.set()
        return await waiting

    assert reasons(asyncio.run(ask())) == ["wanted"]
    assert judge.batches == [["first"], ["wanted"]]


def test_a_judge_that_was_idle_is_asked_again(judge: WordJudge) -> None:
    async def ask() -> list[list[Ruling]]:
        gathering = GatheringJudge(judge)
        return [await gathering.rule_in_order(queries(note)) for note in ("one", "two", "three")]

    assert [reasons(rulings) for rulings in asyncio.run(ask())] == [["one"], ["two"], ["three"]]


def test_a_judge_goes_on_after_a_loop_that_ended_in_the_middle(judge: WordJudge) -> None:
    gathering = GatheringJudge(judge)

    async def leave() -> None:
        await held(judge, gathering)

    asyncio.run(leave())
    judge.gate.set()

    assert reasons(asyncio.run(gathering.rule_in_order(queries("second")))) == ["second"]


def test_a_judge_at_work_holds_no_event_loop_up(judge: WordJudge) -> None:
    async def ask() -> None:
        first = await held(judge, GatheringJudge(judge))
        await asyncio.sleep(0.01)
        judge.gate.set()
        assert reasons(await first) == ["first"]

    asyncio.run(ask())


def on_a_loop(config: JudgeConfig, query: JudgeQuery) -> Ruling:
    async def ask() -> Ruling:
        return (await make_async_judge(config).rule([query]))[query.game_id]

    return asyncio.run(ask())


def test_the_reference_judge_rules_on_an_event_loop() -> None:
    pair = a_pair()

    ruling = on_a_loop(JudgeConfig(), JudgeQuery("1", pair.error_note, Verdict.SAFE, pair))

    assert isinstance(ruling, Labels)
    assert ruling.error_present


def test_a_judge_service_rules_on_an_event_loop() -> None:
    with fault_server() as server:
        config = JudgeConfig(kind="remote", url=server.url)
        ruling = on_a_loop(config, JudgeQuery("1", "a note with an error", Verdict.SAFE))

    assert isinstance(ruling, Labels)
    assert ruling.error_present
