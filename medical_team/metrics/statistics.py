"""How sure a figure is: intervals, bootstrap over near-duplicate groups, McNemar's test, trend, spread over seeds.

Near-duplicate notes are no independent evidence, so whole near-duplicate groups are drawn, never single notes. One
:class:`GroupBootstrap` serves all the figures of an evaluation, and of the evaluations that are compared with it: a
difference is then taken draw by draw, which makes it paired.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from ..records import Closed
from ..seeds import derive_seed

CONFIDENCE = 0.95
RESAMPLES = 2000

MAX_TREND_POINTS = 200
"""The trend test compares every two points: longer series are averaged over neighbours first."""

_GROUPS_AT_ONCE = 4_000_000
"""Numbers held at a time while groups are drawn; a matter of memory."""

Numbers = Sequence[float] | Sequence[bool] | NDArray[np.float64]


@dataclass(frozen=True)
class Interval(Closed):
    """Where a figure lies with ``CONFIDENCE``."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.3f} to {self.high:.3f}"


@dataclass(frozen=True)
class Figure:
    """One figure, over ``of`` items, which are texts or games."""

    value: float | None
    """None where there is no item."""
    interval: Interval | None
    of: int


@dataclass(frozen=True)
class McNemar(Closed):
    """McNemar's exact test on paired right and wrong answers (McNemar 1947; two-sided binomial)."""

    only_first: int
    """Texts that the first alone has right."""
    only_second: int
    p: float
    """How likely a difference at least as large is if both are equally good. Twins count as single texts."""


@dataclass(frozen=True)
class Spread(Closed):
    """Some runs that differ only in their seed."""

    mean: float
    deviation: float | None
    """Standard deviation with n - 1; None for a single run."""
    runs: int


@dataclass(frozen=True)
class Trend:
    """A Mann-Kendall test: one-sided p-values of the series falling, and of it rising."""

    p_falling: float
    p_rising: float


class GroupBootstrap:
    """Draws near-duplicate groups with replacement (Efron 1979; cluster bootstrap), the same draws for every figure.

    Args:
        groups: the near-duplicate group of each item, in the order in which all figures give their items.
        seed: decides the draws.
        resamples: how many draws.
    """

    def __init__(self, groups: Sequence[str], *, seed: int = 0, resamples: int = RESAMPLES) -> None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        self._group_of_item = np.array([numbers[group] for group in groups], dtype=np.int64)
        self._seed = derive_seed(seed, "bootstrap")
        self._resamples = resamples
        self.group_count = len(numbers)

    def rates(self, outcomes: Numbers, members: Numbers | None = None) -> NDArray[np.float64]:
        """The mean of ``outcomes`` in each draw, over the items where ``members`` is true; nan where none was drawn."""
        weights = np.ones(len(self._group_of_item)) if members is None else np.asarray(members, dtype=np.float64)
        sums, counts = self.sums(np.asarray(outcomes, dtype=np.float64) * weights, weights)
        with np.errstate(invalid="ignore"):
            return sums / counts

    def sums(self, *columns: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """The sum of each column, a number for each item, in each draw."""
        by_group = np.stack(
            [np.bincount(self._group_of_item, weights=column, minlength=self.group_count) for column in columns]
        )
        # Drawn anew for each figure from the same seed, so that memory doesn't grow with the number of groups.
        generator = np.random.default_rng(self._seed)
        sums = np.empty((len(columns), self._resamples))
        at_once = max(1, _GROUPS_AT_ONCE // max(1, self.group_count))
        for start in range(0, self._resamples, at_once):
            count = min(at_once, self._resamples - start)
            drawn = generator.integers(self.group_count, size=(count, self.group_count))
            sums[:, start : start + count] = by_group[:, drawn].sum(axis=2)
        return list(sums)


def interval_of(draws: NDArray[np.float64]) -> Interval | None:
    """The percentile interval of a figure's draws; None where no draw gives a figure."""
    known = draws[np.isfinite(draws)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))


def rate(outcomes: Numbers, members: Numbers | None = None) -> float | None:
    """The mean of ``outcomes`` over the items where ``members`` is true; None where there is none."""
    values = np.asarray(outcomes, dtype=np.float64)
    if members is not None:
        values = values[np.asarray(members, dtype=bool)]
    return float(values.mean()) if len(values) else None


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's score interval (1927) for the rate behind ``successes`` out of ``trials``, which must be positive."""
    z = statistics.NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    rate = successes / trials
    spread = 1 + z * z / trials
    center = (rate + z * z / (2 * trials)) / spread
    half = z / spread * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    return Interval(max(0.0, center - half), min(1.0, center + half))


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """Test whether two assessors, asked the same texts in the same order, are equally often right."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    trials, fewer = only_first + only_second, min(only_first, only_second)
    # Logarithms: the binomial coefficients of a large data set are beyond a float.
    tail = math.fsum(math.exp(_log_choose(trials, k) - trials * math.log(2)) for k in range(fewer + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * tail))


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
    z = (score - (1 if score > 0 else -1)) / math.sqrt(variance)
    return Trend(p_falling=statistics.NormalDist().cdf(z), p_rising=1.0 - statistics.NormalDist().cdf(z))


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of at least one run."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


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
    return [statistics.fmean(values[start:end]) for start, end in pairwise(bounds)]
