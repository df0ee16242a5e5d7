import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.metrics.statistics import MAX_TREND_POINTS, trend, wilson_interval


def test_wilson_s_interval_is_the_textbook_s():
    # Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20.
    for successes, trials, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        interval = wilson_interval(successes, trials)
        assert (interval.low, interval.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 500).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_the_interval_holds_the_rate(counts):
    successes, trials = counts
    interval = wilson_interval(successes, trials)

    assert 0 <= interval.low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= interval.high <= 1


def test_a_falling_series_falls():
    found = trend([10, 9, 9, 8, 6, 7, 5, 4, 4, 2])

    # S = -41, two ties of two: variance 123, z = -40 / sqrt(123) = -3.607
    assert found.p_falling == pytest.approx(0.000155, abs=2e-6)
    assert found.p_rising == pytest.approx(1 - found.p_falling)


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
