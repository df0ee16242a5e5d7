"""What asks work to stop: signals that this process sends to itself."""

from __future__ import annotations

import os
import signal

import pytest

from medical_team.callbacks import stop_signals


def sent(*numbers: int) -> list[int]:
    """What reaches a handler of ``numbers``."""
    seen: list[int] = []
    with stop_signals(lambda number, frame: seen.append(number)):
        for number in numbers:
            os.kill(os.getpid(), number)
    return seen


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_each_of_several_counts_since_somebody_is_impatient(number: signal.Signals) -> None:
    assert sent(number, number) == [number, number]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
def test_a_closed_terminal_and_a_scheduler_s_warning_ask_once_though_they_may_come_again(
    number: signal.Signals,
) -> None:
    assert sent(number, number) == [number]


def test_after_a_closed_terminal_others_still_count() -> None:
    assert sent(signal.SIGHUP, signal.SIGTERM) == [signal.SIGHUP, signal.SIGTERM]


def test_under_nohup_a_closed_terminal_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert sent(signal.SIGHUP) == []
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_afterwards_each_means_what_it_meant_before() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
    before = {number: signal.getsignal(number) for number in numbers}

    sent(signal.SIGTERM)

    assert {number: signal.getsignal(number) for number in before} == before
