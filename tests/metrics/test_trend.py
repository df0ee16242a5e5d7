import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.metrics.statistics import MAX_TREND_POINTS, trend


def test_a_falling_series_of_independent_values_is_tested_as_mann_and_kendall_do():
    found = trend([10, 9, 9, 8, 6, 7, 5, 4, 4, 2])

    # S = -41, two ties of two: variance 123, z = -41 / sqrt(123) = -3.697. What is left beside the slope swings.
    assert found.p_falling == pytest.approx(0.000109, abs=2e-6)
    assert found.p_rising == pytest.approx(1 - found.p_falling)


def wandering(count, likeness, generator):
    """A series without a trend, each value ``likeness`` of the one before and noise (an AR(1) process at rest)."""
    values = [generator.standard_normal() / (1 - likeness**2) ** 0.5]
    for _ in range(count - 1):
        values.append(likeness * values[-1] + generator.standard_normal())
    return values


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.8])
def test_a_series_that_wanders_has_no_trend_nineteen_times_in_twenty(likeness):
    generator = np.random.default_rng(3)
    falling = [trend(wandering(40, likeness, generator)).p_falling < 0.05 for _ in range(300)]

    # The plain Mann-Kendall test calls one of six falling at 0.5 and more than one of four at 0.8.
    assert sum(falling) / 300 < 0.09


def test_a_trend_beneath_what_wanders_is_found():
    generator = np.random.default_rng(5)
    found = [
        trend([value - 0.15 * step for step, value in enumerate(wandering(60, 0.5, generator))]) for _ in range(50)
    ]

    assert sum(each.p_falling < 0.05 for each in found) >= 45


def test_a_constant_series_has_no_trend():
    assert trend([0.3] * 20).p_falling == trend([0.3] * 20).p_rising == 0.5
    assert trend([]).p_falling == 0.5


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
def test_backwards_is_the_other_way(values):
    assert trend(values).p_falling == pytest.approx(trend(values[::-1]).p_rising)


def test_a_long_series_is_averaged_first():
    steps = 50 * MAX_TREND_POINTS
    noisy = [1 - step / steps + (0.3 if step % 2 else -0.3) for step in range(steps)]

    assert trend(noisy).p_falling < 1e-6
