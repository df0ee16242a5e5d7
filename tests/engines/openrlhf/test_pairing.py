from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from medical_team.engines.openrlhf.pairing import Pairing, PartnerError


async def both() -> tuple[str, str]:
    await asyncio.sleep(0)
    return "first", "second"


async def alone() -> str:
    return "alone"


def gathered(calls: Callable[..., Any]) -> list[Any]:
    async def gather() -> list[Any]:
        return await asyncio.gather(*calls(), return_exceptions=True)

    return asyncio.run(gather())


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
    pairing, key = Pairing[str](), object()

    assert gathered(lambda: [pairing.join(key, both, alone) for _ in range(n)]) == results


def test_equal_keys_are_not_one_key() -> None:
    pairing = Pairing[str]()

    assert gathered(lambda: [pairing.join(key, both, alone) for key in ([1], [1])]) == ["alone", "alone"]


def test_a_failure_reaches_both() -> None:
    async def fail() -> tuple[str, str]:
        raise ValueError("broken")

    pairing, key = Pairing[str](), object()
    first, second = gathered(lambda: [pairing.join(key, fail, alone) for _ in range(2)])

    assert isinstance(first, ValueError)
    assert isinstance(second, PartnerError)
    assert "broken" in str(second)


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_whoever_is_cancelled_leaves_nobody_waiting(turns: int) -> None:
    async def play() -> list[Any]:
        pairing, key = Pairing[str](), object()
        tasks = [asyncio.create_task(pairing.join(key, both, alone)) for _ in range(2)]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[0].cancel()
        _, waiting = await asyncio.wait(tasks, timeout=5)
        assert not waiting
        return [task.cancelled() for task in tasks]

    assert asyncio.run(play())[0]


def test_a_cancelled_follower_does_not_disturb_the_game() -> None:
    async def play() -> str:
        pairing, key = Pairing[str](), object()
        first, second = (asyncio.create_task(pairing.join(key, both, alone)) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        return await first

    assert asyncio.run(play()) == "first"
