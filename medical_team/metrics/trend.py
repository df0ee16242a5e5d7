"""The little statistics that the run report needs: an interval for a rate, and a test for a trend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import sqrt
from statistics import NormalDist, fmean

CONFIDENCE = 0.95

MAX_TREND_POINTS = 200
"""The trend test compares every two points: longer series are averaged over neighbours first."""


@dataclass(frozen=True)
class Interval:
    """Where a rate lies with ``CONFIDENCE``."""

    low: float
    high: float


@dataclass(frozen=True)
class Trend:
    """A Mann-Kendall test: one-sided p-values of the series falling, and of it rising."""

    p_falling: float
    p_rising: float


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's score interval (1927) for the rate behind ``successes`` out of ``trials``, which must be positive."""
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    rate = successes / trials
    spread = 1 + z * z / trials
    center = (rate + z * z / (2 * trials)) / spread
    half = z / spread * sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    return Interval(max(0.0, center - half), min(1.0, center + half))


def trend(values: Sequence[float]) -> Trend:
    """Test whether ``values``, in the order of time, fall or rise (Mann 1945, Kendall 1975, corrected for ties).

    The normal approximation that it uses wants at least ten values. A constant series has no trend.
    """
    points = _averaged(values, MAX_TREND_POINTS)
    score = sum(
        (later > earlier) - (later < earlier) for index, earlier in enumerate(points) for later in points[index + 1 :]
    )
    variance = _variance(points)
    if score == 0 or variance <= 0.0:
        return Trend(0.5, 0.5)
    # One step towards zero: the score is a whole number, the normal distribution is not.
    z = (score - (1 if score > 0 else -1)) / sqrt(variance)
    return Trend(p_falling=NormalDist().cdf(z), p_rising=1.0 - NormalDist().cdf(z))


def _variance(points: Sequence[float]) -> float:
    count = len(points)
    ties = [len(list(group)) for _, group in groupby(sorted(points))]
    return (_ties_term(count) - sum(map(_ties_term, ties))) / 18


def _ties_term(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)


def _averaged(values: Sequence[float], most: int) -> list[float]:
    """``values``, or the means of ``most`` equal runs of them where there are more."""
    if len(values) <= most:
        return list(values)
    bounds = [index * len(values) // most for index in range(most + 1)]
    return [fmean(values[start:end]) for start, end in pairwise(bounds)]
