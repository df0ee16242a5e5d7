"""Evaluations side by side, item by item: is one better, and how sure is that?

Runs that differ only in their seed are pooled: their outcomes are averaged item by item, and told as mean and standard
deviation over the runs. A difference is drawn over near-duplicate groups with the same draws for both sides, so it is
paired. The draws are over texts, not over training seeds: with one run on a side they say nothing of what another
seed would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..metrics.statistics import GroupBootstrap, Interval, McNemar, Spread, interval_of, mcnemar, spread
from .outcomes import Outcomes, Rate


@dataclass(frozen=True)
class ComparedFigure:
    """One measure of one side."""

    side: str
    measure: str
    runs: Spread | None
    """None where there is no item to measure on."""
    interval: Interval | None
    difference: float | None
    """To the first side; None for the first side itself."""
    difference_interval: Interval | None


@dataclass(frozen=True)
class ComparedSide:
    """One model, or several runs that differ only in their seed."""

    label: str
    runs: int
    mcnemar: McNemar | None
    """Against the first side, where both are single runs; the first side's own is None."""


@dataclass(frozen=True)
class Comparison:
    """What ``eval compare`` finds."""

    kind: str
    items: int
    groups: int
    sides: tuple[ComparedSide, ...]
    figures: tuple[ComparedFigure, ...]


def compare(evaluations: Sequence[Outcomes], *, seed: int = 0) -> Comparison:
    """Compare each of at least two ``evaluations`` with the first.

    Raises:
        UsageError: there are fewer than two, or they were not asked the same; what differs is named.
    """
    first = evaluations[0] if evaluations else None
    if first is None or len(evaluations) < 2:
        raise UsageError("name at least two evaluations to compare")
    for other in evaluations[1:]:
        _check_alike(first, other)
    sides = _sides([_in_order_of(first, evaluation) for evaluation in evaluations])
    bootstrap = GroupBootstrap(first.groups, seed=seed)
    measures = [name for name in first.measures if all(name in outcomes.measures for outcomes in evaluations)]
    labels = _labels(sides)
    figures = [
        _figure(label, measure, side, sides[0], bootstrap)
        for measure in measures
        for label, side in zip(labels, sides, strict=True)
    ]
    return Comparison(
        kind=first.kind,
        items=len(first.item_ids),
        groups=bootstrap.group_count,
        sides=tuple(
            ComparedSide(label, len(side), _mcnemar(sides[0], side) if index else None)
            for index, (label, side) in enumerate(zip(labels, sides, strict=True))
        ),
        figures=tuple(figures),
    )


def _check_alike(first: Outcomes, other: Outcomes) -> None:
    if first.kind != other.kind:
        raise UsageError(
            f"{first.label} was asked {first.kind}, {other.label} {other.kind}: only the same can be compared"
        )
    missing = set(first.item_ids) ^ set(other.item_ids)
    if missing:
        raise UsageError(
            f"{first.label} and {other.label} were not asked the same: {len(missing)} items are in only one (for "
            f"example {min(missing)}). Evaluate both with the same data, --texts or --games, and --seed."
        )


def _in_order_of(first: Outcomes, other: Outcomes) -> Outcomes:
    if first.item_ids == other.item_ids:
        return other
    place = {item_id: index for index, item_id in enumerate(other.item_ids)}
    order = [place[item_id] for item_id in first.item_ids]

    def ordered(values: Sequence[bool]) -> tuple[bool, ...]:
        return tuple(values[index] for index in order)

    measures = {
        name: tuple(Rate(ordered(rate.outcomes), ordered(rate.members)) for rate in rates)
        for name, rates in other.measures.items()
    }
    return replace(other, item_ids=first.item_ids, groups=first.groups, measures=measures)


def _sides(evaluations: Sequence[Outcomes]) -> list[list[Outcomes]]:
    """The evaluations, those of runs that differ only in their seed together. Two of one seed are no two runs."""
    sides: list[list[Outcomes]] = []
    for outcomes in evaluations:
        for side in sides:
            seeds = {other.run_seed for other in side}
            if outcomes.pool is not None and side[0].pool == outcomes.pool and outcomes.run_seed not in seeds:
                side.append(outcomes)
                break
        else:
            sides.append([outcomes])
    return sides


def _labels(sides: Sequence[Sequence[Outcomes]]) -> list[str]:
    labels = [side[0].label if len(side) == 1 else f"{side[0].label} (of {len(side)} seeds)" for side in sides]
    return [label if labels.count(label) == 1 else f"{label} ({index + 1})" for index, label in enumerate(labels)]


def _figure(
    label: str, measure: str, side: Sequence[Outcomes], reference: Sequence[Outcomes], bootstrap: GroupBootstrap
) -> ComparedFigure:
    draws = _draws(side, measure, bootstrap)
    runs = _spread(side, measure)
    if side is reference:
        return ComparedFigure(label, measure, runs, interval_of(draws), None, None)
    reference_runs = _spread(reference, measure)
    difference = None if runs is None or reference_runs is None else runs.mean - reference_runs.mean
    difference_interval = interval_of(draws - _draws(reference, measure, bootstrap))
    return ComparedFigure(label, measure, runs, interval_of(draws), difference, difference_interval)


def _draws(side: Sequence[Outcomes], measure: str, bootstrap: GroupBootstrap) -> NDArray[np.float64]:
    return np.mean(
        [
            np.mean([bootstrap.rates(rate.outcomes, rate.members) for rate in outcomes.measures[measure]], axis=0)
            for outcomes in side
        ],
        axis=0,
    )


def _spread(side: Sequence[Outcomes], measure: str) -> Spread | None:
    values = [_value(outcomes.measures[measure]) for outcomes in side]
    known = [value for value in values if value is not None]
    return spread(known) if len(known) == len(values) else None


def _value(rates: Sequence[Rate]) -> float | None:
    values: list[float] = []
    for rate in rates:
        counted = [outcome for outcome, member in zip(rate.outcomes, rate.members, strict=True) if member]
        if not counted:
            return None
        values.append(sum(counted) / len(counted))
    return sum(values) / len(values)


def _mcnemar(first: Sequence[Outcomes], second: Sequence[Outcomes]) -> McNemar | None:
    if len(first) > 1 or len(second) > 1:
        return None
    ones, others = first[0].verdicts, second[0].verdicts
    counted = [index for index, pair in enumerate(zip(ones.members, others.members, strict=True)) if all(pair)]
    return mcnemar([ones.outcomes[index] for index in counted], [others.outcomes[index] for index in counted])
