"""Which calls of an executor belong together. What a call returns is a name here and no sample."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from medical_team.engines.openrlhf.agent import Pairing
from medical_team.errors import EngineError


async def both() -> Any:
    await asyncio.sleep(0)
    return "first", "second"


def gathered(calls: Callable[..., Any]) -> list[Any]:
    async def gather() -> list[Any]:
        return await asyncio.gather(*calls(), return_exceptions=True)

    results = asyncio.run(gather())
    return ["alone" if "has no sibling" in str(result) else result for result in results]


@pytest.mark.parametrize(
    ("n", "results"),
    [
        (1, ["alone"]),
        (2, ["first", "second"]),
        (3, ["first", "second", "alone"]),
        (4, ["first", "second", "first", "second"]),
    ],
)
def test_calls_with_one_key_pair_up_in_order(n: int, results: list[str]) -> None:
    pairing, key = Pairing(), object()

    assert gathered(lambda: [pairing.join(key, both) for _ in range(n)]) == results


def test_equal_keys_are_not_one_key() -> None:
    pairing = Pairing()

    assert gathered(lambda: [pairing.join(key, both) for key in ([1], [1])]) == ["alone", "alone"]


def test_a_failure_reaches_both() -> None:
    async def fail() -> Any:
        raise ValueError("broken")

    pairing, key = Pairing(), object()
    first, second = gathered(lambda: [pairing.join(key, fail) for _ in range(2)])

    assert isinstance(first, ValueError)
    assert isinstance(second, EngineError)
    assert "broken" in str(second)


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_whoever_is_cancelled_leaves_nobody_waiting(turns: int) -> None:
    async def play() -> list[Any]:
        pairing, key = Pairing(), object()
        tasks = [asyncio.create_task(pairing.join(key, both)) for _ in range(2)]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        _, waiting = await asyncio.wait(tasks, timeout=5)
        assert not waiting
        return [task.cancelled() or task.exception() for task in tasks]

    assert asyncio.run(play())[0] is True


def test_a_cancelled_follower_does_not_disturb_the_game() -> None:
    async def play() -> Any:
        pairing, key = Pairing(), object()
        first, second = (asyncio.create_task(pairing.join(key, both)) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        return await first

    assert asyncio.run(play()) == "first"
