from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence

import pytest
from fault_server import fault_server

from builders import a_pair
from medical_team.config import JudgeConfig
from medical_team.judge.protocol import GatheringJudge, JudgeQuery, ThreadedJudge
from medical_team.judging import make_async_judge
from medical_team.records import JudgeFailure, Labels, Ruling, Verdict


def a_query(game_id: str, note: str = "a note") -> JudgeQuery:
    return JudgeQuery(game_id, note, Verdict.SAFE)


class HeldJudge:
    """Answers when its gate opens; keeps what it was asked in one call."""

    name = "held"

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.calls: list[list[str]] = []

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        self.calls.append([query.game_id for query in queries])
        await self.gate.wait()
        if any("crash" in query.note for query in queries):
            raise RuntimeError("the judge tripped")
        return {query.game_id: JudgeFailure(query.game_id, True, self.name, query.note) for query in queries}


def test_what_is_asked_while_the_judge_is_busy_goes_to_it_in_one_call() -> None:
    async def ask() -> list[list[str]]:
        judge = HeldJudge()
        gathering = GatheringJudge(judge)
        calls = [asyncio.create_task(gathering.rule([a_query(str(number))])) for number in range(4)]
        await asyncio.sleep(0.01)
        late = [asyncio.create_task(gathering.rule([a_query(str(number))])) for number in range(4, 7)]
        await asyncio.sleep(0.01)
        judge.gate.set()
        for number, call in enumerate([*calls, *late]):
            assert (await call)[str(number)].game_id == str(number)
        return judge.calls

    assert asyncio.run(ask()) == [["0", "1", "2", "3"], ["4", "5", "6"]]


def test_several_calls_may_be_under_way_but_not_more_than_said() -> None:
    async def ask() -> int:
        judge = HeldJudge()
        gathering = GatheringJudge(judge, calls=3)
        calls: list[asyncio.Task[Mapping[str, Ruling]]] = []
        for number in range(10):
            calls.append(asyncio.create_task(gathering.rule([a_query(str(number))])))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        under_way = len(judge.calls)
        judge.gate.set()
        await asyncio.gather(*calls)
        return under_way

    assert asyncio.run(ask()) == 3


def test_two_games_of_one_id_are_asked_one_after_the_other() -> None:
    async def ask() -> list[list[str]]:
        judge = HeldJudge()
        judge.gate.set()
        gathering = GatheringJudge(judge)
        answers = await asyncio.gather(*(gathering.rule([a_query("same", note)]) for note in ("first", "second")))
        assert [answer["same"].reason for answer in answers] == ["first", "second"]
        return judge.calls

    assert asyncio.run(ask()) == [["same"], ["same"]]


def test_a_judge_that_raises_raises_for_its_callers_and_goes_on() -> None:
    async def ask() -> None:
        judge = HeldJudge()
        judge.gate.set()
        gathering = GatheringJudge(judge)
        with pytest.raises(RuntimeError, match="tripped"):
            await gathering.rule([a_query("1", "crash")])
        assert "2" in await gathering.rule([a_query("2")])

    asyncio.run(ask())


def test_a_caller_that_goes_away_takes_no_other_along() -> None:
    async def ask() -> None:
        judge = HeldJudge()
        gathering = GatheringJudge(judge)
        calls = [asyncio.create_task(gathering.rule([a_query(str(number))])) for number in range(2)]
        await asyncio.sleep(0.01)
        calls[0].cancel()
        judge.gate.set()
        assert "1" in await calls[1]

    asyncio.run(ask())


def test_a_synchronous_judge_holds_no_event_loop_up() -> None:
    release = threading.Event()

    class Slow:
        name = "slow"

        def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
            release.wait()
            return {query.game_id: JudgeFailure(query.game_id, True, "slow", "") for query in queries}

    async def ask() -> None:
        call = asyncio.create_task(ThreadedJudge(Slow()).rule([a_query("1")]))
        await asyncio.sleep(0.01)
        release.set()
        assert "1" in await call

    asyncio.run(ask())


def test_the_reference_judge_rules_on_an_event_loop() -> None:
    pair = a_pair()

    async def ask() -> Ruling:
        judge = make_async_judge(JudgeConfig(), [pair])
        return (await judge.rule([JudgeQuery("1", pair.error_note, Verdict.SAFE, pair)]))["1"]

    ruling = asyncio.run(ask())
    assert isinstance(ruling, Labels)
    assert ruling.error_present


def test_a_judge_service_rules_on_an_event_loop() -> None:
    with fault_server() as server:

        async def ask() -> Mapping[str, Ruling]:
            judge = make_async_judge(JudgeConfig(kind="remote", url=server.url))
            return await judge.rule([a_query("1", "a note with an error")])

        ruling = asyncio.run(ask())["1"]

    assert isinstance(ruling, Labels)
    assert ruling.error_present
