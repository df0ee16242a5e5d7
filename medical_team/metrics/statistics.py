"""How sure a figure is: intervals, bootstrap over near-duplicate groups, McNemar's test, trends."""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..records import Closed
from ..seeds import derive_seed

CONFIDENCE = 0.95
RESAMPLES = 2000

MAX_TREND_POINTS = 200
"""The trend test compares every two points: longer series are averaged over neighbours first."""

MIN_TREND_POINTS = 5
"""With fewer points nothing can be said of their autocorrelation, nor of a trend."""

MAX_AUTOCORRELATION = 0.95
"""More can't be told from 1 in a series of this length, where no trend could be told from chance."""

NUMBERS_AT_ONCE = 4_000_000
"""Numbers held at a time while groups are drawn; a matter of memory."""

Numbers = Sequence[float] | Sequence[bool] | NDArray[np.float64] | NDArray[np.bool_]


@dataclass(frozen=True)
class Interval(Closed):
    """Where a figure lies with ``CONFIDENCE``, unless another one was asked for."""

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
    """A Mann-Kendall test that allows for autocorrelation: one-sided p-values of a series falling, and of it rising."""

    p_falling: float
    p_rising: float


class GroupBootstrap:
    """Draws near-duplicate groups with replacement (Efron 1979; cluster bootstrap), the same draws for every figure.

    Args:
        groups: the near-duplicate group of each item, in the order in which all figures give their items.
        seed: decides the draws.
        at_once: how many numbers are held while groups are drawn; it changes no draw.
    """

    def __init__(self, groups: Sequence[str], *, seed: int = 0, at_once: int = NUMBERS_AT_ONCE) -> None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        self._group_of_item = np.array([numbers[group] for group in groups], dtype=np.int64)
        self._seed = derive_seed(seed, "bootstrap")
        self._at_once = at_once
        self.group_count = len(numbers)

    def figure(self, outcomes: Numbers, *members: Numbers) -> Figure:
        """The mean of ``outcomes`` over all items, or over those where ``members`` is true, with its interval.

        Of several sets of members, which have no item in common, it is the mean of their means: a balanced accuracy.
        """
        sets = members or (np.ones(len(self._group_of_item)),)
        value = mean_rate(outcomes, *sets)
        interval = None if value is None else interval_of(self.mean_rates(outcomes, *sets))
        return Figure(value, interval, int(sum(map(np.sum, sets))))

    def mean_rates(self, outcomes: Numbers, *members: Numbers) -> NDArray[np.float64]:
        """:func:`mean_rate` in each draw; nan where some of ``members`` have no item that was drawn."""
        return np.mean([self.rates(outcomes, each) for each in members], axis=0)

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
        sums = np.empty((len(columns), RESAMPLES))
        at_once = max(1, self._at_once // max(1, self.group_count))
        for start in range(0, RESAMPLES, at_once):
            count = min(at_once, RESAMPLES - start)
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


def mean_rate(outcomes: Numbers, *members: Numbers) -> float | None:
    """The mean of the :func:`rate` over each set of ``members``; None where one of them has no item."""
    rates = [rate(outcomes, each) for each in members]
    known = [value for value in rates if value is not None]
    return sum(known) / len(known) if len(known) == len(rates) else None


def binomial_interval(successes: float, trials: float, confidence: float = CONFIDENCE) -> Interval:
    """Clopper and Pearson's interval (1934) for the rate behind ``successes`` out of ``trials``, more than none.

    Neither need be a whole number: an effective sample size is none.
    """
    tail, failures = (1 - confidence) / 2, trials - successes
    quantile = _scipy("special").betaincinv
    low = quantile(successes, failures + 1, tail) if successes > 0 else 0.0
    high = quantile(successes + 1, failures, 1 - tail) if failures > 0 else 1.0
    return Interval(float(low), float(high))


def grouped_binomial_interval(
    successes: Sequence[int], trials: Sequence[int], confidence: float = CONFIDENCE
) -> Interval:
    """The interval for a rate whose trials come in groups of trials that resemble each other.

    Clopper and Pearson's interval at the effective sample size (Korn and Graubard 1998): what the groups differ by says
    how many independent trials there are, as far as so many groups can tell it. Where all trials or none succeed,
    nothing differs, and each group counts as one trial. Unlike a bootstrap, it holds with few groups too.

    Args:
        successes: of each group.
        trials: of each group, positive.
        confidence: with which the rate lies in the interval.
    """
    groups, total, won = len(trials), sum(trials), sum(successes)
    rate = won / total
    if groups < 2 or won in (0, total):
        effective = float(groups)
    else:
        residuals = np.asarray(successes) - rate * np.asarray(trials)
        variance = float(groups / (groups - 1) * (residuals**2).sum() / total**2)
        independent = rate * (1 - rate) / variance if variance > 0 else float(total)
        known, told = (float(_scipy("special").stdtrit(count - 1, (1 + confidence) / 2)) for count in (total, groups))
        effective = min(float(total), independent * (known / told) ** 2)
    return binomial_interval(rate * effective, effective, confidence)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> McNemar:
    """Test whether two assessors, asked the same texts in the same order, are equally often right."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    trials = only_first + only_second
    return McNemar(
        only_first, only_second, float(_scipy("stats").binomtest(only_first, trials).pvalue) if trials else 1.0
    )


def trend(values: Sequence[float]) -> Trend:
    """Test whether ``values``, in the order of time, fall or rise (Mann 1945, Kendall 1975, corrected for ties).

    Neighbours resemble each other while a policy learns, which looks like a trend to the plain test. So its variance is
    that of as many independent values as the series is worth (Yue and Wang 2004), by the lag-one autocorrelation of
    what is left beside Sen's slope, corrected for its bias (Hamed 2009).

    The normal approximation that it uses wants at least ten values. A constant series has no trend.
    """
    points = _averaged(values, MAX_TREND_POINTS)
    if len(points) < MIN_TREND_POINTS or min(points) == max(points):
        return Trend(0.5, 0.5)
    z = _kendall_z(points) / _variance_inflation(points) ** 0.5
    normal_share = _scipy("special").ndtr
    return Trend(p_falling=float(normal_share(z)), p_rising=float(normal_share(-z)))


def _kendall_z(values: Sequence[float]) -> float:
    """The Mann-Kendall test's statistic, standard normal without a trend; negative where ``values`` fall."""
    falling, rising = (
        float(_scipy("stats").kendalltau(range(len(values)), values, method="asymptotic", alternative=side)[1])
        for side in ("less", "greater")
    )
    # The smaller tail, since the larger one can't be told from 1.
    tail = float(_scipy("special").ndtri(min(falling, rising)))
    return tail if falling < rising else -tail


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of at least one run."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def _variance_inflation(points: Sequence[float]) -> float:
    """By how much lag-one autocorrelation widens the test's statistic; never below 1, which would claim too much."""
    count, order = len(points), np.arange(len(points))
    rest = np.asarray(points) - float(_scipy("stats").theilslopes(points)[0]) * order
    rest = rest - rest.mean()
    # What rounding leaves of a straight line is autocorrelated too, and says nothing.
    if float(np.ptp(rest)) <= 1e-9 * float(np.ptp(points)):
        return 1.0
    seen = float(rest[1:] @ rest[:-1]) / float(rest @ rest)
    autocorrelation = min(max((count * seen + 2) / (count - 4), 0.0), MAX_AUTOCORRELATION)
    lags = order[1:]
    return 1 + 2 * float(((1 - lags / count) * autocorrelation**lags).sum())


def _averaged(values: Sequence[float], most: int) -> list[float]:
    """``values``, or the means of ``most`` equal runs of them where there are more."""
    if len(values) <= most:
        return list(values)
    bounds = [index * len(values) // most for index in range(most + 1)]
    return [statistics.fmean(values[start:end]) for start, end in pairwise(bounds)]


def _scipy(part: str) -> ModuleType:
    """A module of scipy, imported when it is first wanted: that takes a second."""
    return importlib.import_module(f"scipy.{part}")
