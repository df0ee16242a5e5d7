from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.metrics.statistics import (
    CONFIDENCE,
    MAX_TREND_POINTS,
    GroupBootstrap,
    binomial_interval,
    grouped_binomial_interval,
    interval_of,
    mcnemar,
    rate,
    spread,
    trend,
)

if TYPE_CHECKING:
    from numpy.random import Generator


def alone(count: int):
    return [str(number) for number in range(count)]


def test_the_interval_of_a_rate_has_the_width_that_the_binomial_gives_it() -> None:
    outcomes = [True] * 100 + [False] * 100

    interval = interval_of(GroupBootstrap(alone(200)).rates(outcomes))

    assert interval is not None
    half_width = 1.96 * math.sqrt(0.25 / 200)
    assert interval.low == pytest.approx(0.5 - half_width, abs=0.015)
    assert interval.high == pytest.approx(0.5 + half_width, abs=0.015)


def test_copies_of_a_note_in_one_group_make_nothing_surer() -> None:
    outcomes = [True, False] * 20
    copied = [outcome for outcome in outcomes for _ in range(4)]
    groups = [group for group in alone(40) for _ in range(4)]

    single = interval_of(GroupBootstrap(alone(40)).rates(outcomes))
    grouped = interval_of(GroupBootstrap(groups).rates(copied))

    assert grouped == single


def test_figures_are_drawn_alike_so_their_difference_is_paired() -> None:
    # The second is right on five texts more and wrong on none that the first has right: its lead can't be negative.
    first = [number % 2 == 0 for number in range(50)]
    second = [number % 2 == 0 or number < 10 for number in range(50)]

    lead = GroupBootstrap(alone(50)).rates(second) - GroupBootstrap(alone(50)).rates(first)

    assert lead.min() >= 0
    assert lead.mean() == pytest.approx(0.1, abs=0.01)


def test_the_same_seed_draws_alike_and_another_seed_does_not() -> None:
    outcomes = [number % 3 == 0 for number in range(50)]

    draws = [GroupBootstrap(alone(50), seed=seed).rates(outcomes) for seed in (1, 1, 2)]

    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_drawing_in_small_parts_gives_the_same_draws() -> None:
    outcomes = [number % 3 == 0 for number in range(50)]
    at_once = GroupBootstrap(alone(50)).rates(outcomes)

    in_parts = GroupBootstrap(alone(50), at_once=170).rates(outcomes)

    assert np.array_equal(in_parts, at_once)


def test_a_rate_counts_its_members_alone() -> None:
    outcomes, members = [True, True, False, False], [True, False, True, False]

    assert rate(outcomes, members) == 0.5
    draws = GroupBootstrap(alone(4)).rates(outcomes, members)
    assert np.nanmean(draws) == pytest.approx(0.5, abs=0.05)


def test_a_rate_without_members_is_no_number() -> None:
    assert rate([True], [False]) is None
    assert interval_of(GroupBootstrap(alone(1)).rates([True], [False])) is None


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 9, 2 * 11 / 1024)]
)
def test_mcnemar_is_the_exact_binomial_test(only_first: int, only_second: int, p: float) -> None:
    first = [True] * only_first + [False] * only_second + [True, False]
    second = [False] * only_first + [True] * only_second + [True, False]

    result = mcnemar(first, second)

    assert (result.only_first, result.only_second) == (only_first, only_second)
    assert result.p == pytest.approx(p, rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_mcnemar_does_not_mind_who_comes_first(pairs: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]

    assert mcnemar(first, second).p == mcnemar(second, first).p
    assert 0 < mcnemar(first, second).p <= 1


def test_mcnemar_takes_a_large_data_set() -> None:
    assert 0 < mcnemar([True] * 5100 + [False] * 4900, [False] * 5100 + [True] * 4900).p < 0.06


def test_a_single_run_has_no_spread() -> None:
    assert spread([0.5]).deviation is None
    assert (spread([1.0, 2.0, 3.0]).mean, spread([1.0, 2.0, 3.0]).deviation) == (2.0, 1.0)


def test_the_binomial_interval_is_the_textbook_s() -> None:
    # Newcombe (1998), table I, method 5: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for successes, trials, low, high in [
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ]:
        interval = binomial_interval(successes, trials)
        assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_holds_the_rate(counts: tuple[int, int]) -> None:
    successes, trials = counts
    interval = binomial_interval(successes, trials)

    assert 0 <= interval.low <= successes / trials <= interval.high <= 1


def test_copies_of_a_trial_in_one_group_make_an_interval_no_narrower() -> None:
    won = [1, 0, 0, 1, 1, 0, 1, 1]
    single = grouped_binomial_interval(won, [1] * 8)
    copied = grouped_binomial_interval([5 * outcome for outcome in won], [5] * 8)

    assert copied.low <= single.low + 0.01
    assert copied.high >= single.high - 0.01


@pytest.mark.parametrize("won", [0, 10])
def test_groups_that_all_agree_count_as_one_trial_each(won: int) -> None:
    assert grouped_binomial_interval([won] * 5, [10] * 5) == binomial_interval(5 * won / 10, 5)


def test_the_interval_of_grouped_trials_holds_the_rate_as_often_as_it_says() -> None:
    # 200 experiments of 25 notes, eight games each; a note's own win rate lies anywhere around 0.4.
    generator = np.random.default_rng(7)
    held, held_apart = 0, 0
    for _ in range(200):
        won = generator.binomial(8, generator.beta(0.4, 0.6, size=25))
        grouped = grouped_binomial_interval(won.tolist(), [8] * 25)
        apart = binomial_interval(int(won.sum()), 200)
        held += grouped.low <= 0.4 <= grouped.high
        held_apart += apart.low <= 0.4 <= apart.high

    assert held / 200 >= CONFIDENCE - 0.03
    assert held_apart / 200 < 0.8


def test_a_falling_series_of_independent_values_is_tested_as_mann_and_kendall_do() -> None:
    found = trend([10, 9, 9, 8, 6, 7, 5, 4, 4, 2])

    # S = -41, two ties of two: variance 123, z = -41 / sqrt(123) = -3.697. What is left beside the slope swings.
    assert found.p_falling == pytest.approx(0.000109, abs=2e-6)
    assert found.p_rising == pytest.approx(1 - found.p_falling)


def wandering(count: int, likeness: float, generator: Generator):
    """A series without a trend, each value ``likeness`` of the one before and noise (an AR(1) process at rest)."""
    values = [generator.standard_normal() / (1 - likeness**2) ** 0.5]
    for _ in range(count - 1):
        values.append(likeness * values[-1] + generator.standard_normal())
    return values


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.8])
def test_a_series_that_wanders_has_no_trend_nineteen_times_in_twenty(likeness: float) -> None:
    generator = np.random.default_rng(3)
    falling = [trend(wandering(40, likeness, generator)).p_falling < 0.05 for _ in range(300)]

    # The plain Mann-Kendall test calls one of six falling at 0.5 and more than one of four at 0.8.
    assert sum(falling) / 300 < 0.09


def test_a_trend_beneath_what_wanders_is_found() -> None:
    generator = np.random.default_rng(5)
    found = [
        trend([value - 0.15 * step for step, value in enumerate(wandering(60, 0.5, generator))]) for _ in range(50)
    ]

    assert sum(each.p_falling < 0.05 for each in found) >= 45


def test_a_constant_series_has_no_trend() -> None:
    assert trend([0.3] * 20).p_falling == trend([0.3] * 20).p_rising == 0.5
    assert trend([]).p_falling == 0.5


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_backwards_is_the_other_way(values: list[float]) -> None:
    assert trend(values).p_falling == pytest.approx(trend(values[::-1]).p_rising)


def test_a_long_series_is_averaged_first() -> None:
    steps = 50 * MAX_TREND_POINTS
    noisy = [1 - step / steps + (0.3 if step % 2 else -0.3) for step in range(steps)]

    assert trend(noisy).p_falling < 1e-6
