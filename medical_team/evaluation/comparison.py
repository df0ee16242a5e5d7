"""Evaluations side by side, item by item: is one better, and how sure is that? What an evaluation found is read
from either kind of folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from ..metrics.statistics import GroupBootstrap, Interval, McNemar, Spread, interval_of, mcnemar, spread
from ..metrics.step_metrics import is_assessor_right
from ..records import Game
from .game_metrics import has_error, is_assessed, is_attack_successful, is_decided, says_harmful
from .medec import EvaluationFolder, EvaluationSettings
from .model_games import ATTACK, SETTINGS, GamesSettings, read_games

ItemT = TypeVar("ItemT")

_NOT_POOLED_BY = ("model", "seed", "package_version", "training_texts", "left_out")


@dataclass(frozen=True)
class Rate:
    """The mean of ``outcomes`` over the items that are ``members``."""

    outcomes: tuple[bool, ...]
    members: tuple[bool, ...]


@dataclass(frozen=True)
class Outcomes:
    """One evaluation, item by item."""

    label: str
    kind: str
    """What was asked; evaluations of different kinds can't be compared."""
    pool: str | None
    """The same for evaluations of runs that differ only in their seed; None where no run is known."""
    run_seed: int | None
    item_ids: tuple[str, ...]
    groups: tuple[str, ...]
    """The near-duplicate group of each item."""
    measures: dict[str, tuple[Rate, ...]]
    """A measure is the mean of its rates: of one, or of two in a balanced accuracy. The accuracy comes first."""

    @property
    def verdicts(self) -> Rate:
        """Whether the assessor has each item right, and which items count, for McNemar's test."""
        return next(iter(self.measures.values()))[0]


def read_outcomes(path: Path) -> Outcomes:
    """The evaluation at ``path``, made by ``eval medec`` or ``eval games``.

    Raises:
        DataError: there is none, it is damaged, or it is not finished.
    """
    return _game_outcomes(path) if (path / SETTINGS).is_file() else _medec_outcomes(path)


def _medec_outcomes(path: Path) -> Outcomes:
    folder = EvaluationFolder.open(path)
    predictions, settings = folder.predictions(), folder.settings
    if len(predictions) > settings.texts:
        raise DataError(
            f"{path} can't be compared:",
            [f"{len(predictions)} predictions of {settings.texts} texts: was the file copied behind itself?"],
        )
    if len(predictions) != settings.texts:
        problem = f"{len(predictions)} of {settings.texts} texts are predicted; give its command again to finish it"
        raise DataError(f"{path} can't be compared:", [problem])
    is_right = _all(predictions, lambda prediction: prediction.is_flag_right)
    with_error = _all(predictions, lambda prediction: prediction.has_error)
    correct = _not(with_error)
    measures = {
        "flag_accuracy": (Rate(is_right, _everything(predictions)),),
        "balanced_accuracy": (Rate(is_right, with_error), Rate(is_right, correct)),
        "detection_rate": (Rate(is_right, with_error),),
        "false_alarm_rate": (Rate(_all(predictions, lambda prediction: prediction.is_false_alarm), correct),),
        "no_prediction_rate": (
            Rate(_all(predictions, lambda prediction: prediction.flag is None), _everything(predictions)),
        ),
    }
    if settings.task == "three-part":
        is_named = _all(predictions, lambda prediction: prediction.is_sentence_right)
        measures["sentence_accuracy"] = (Rate(is_named, _everything(predictions)),)
    return Outcomes(
        label=settings.model.label,
        kind=f"MEDEC texts of {settings.data_file} (sha256 {settings.data_sha256[:12]})",
        pool=_pool(settings),
        run_seed=settings.model.run_seed,
        item_ids=tuple(prediction.text_id for prediction in predictions),
        groups=tuple(prediction.near_duplicate_group for prediction in predictions),
        measures=measures,
    )


def _game_outcomes(path: Path) -> Outcomes:
    played = read_games(path)
    games, settings = played.games, played.settings
    assessed = _all(games, lambda game: is_assessed(game) and not game.spec.id.startswith(f"{ATTACK}-"))
    is_right = _all(games, is_assessor_right)
    error = _all(games, has_error)
    attacked = _all(games, lambda game: _is_attacked(game, settings) and is_decided(game))
    other = settings.opponent
    opponent = f"against {other.label} {(other.fingerprint or '')[:12]}".rstrip() if other else "against itself"
    measures = {
        "assessor_accuracy": (Rate(is_right, assessed),),
        "balanced_accuracy": (Rate(is_right, _and(assessed, error)), Rate(is_right, _and(assessed, _not(error)))),
        "detection_rate": (Rate(is_right, _and(assessed, error)),),
        "false_alarm_rate": (Rate(_all(games, says_harmful), _and(assessed, _not(error))),),
        "attacker_success_rate": (Rate(_all(games, is_attack_successful), attacked),),
    }
    return Outcomes(
        label=settings.model.label,
        kind=(
            f"held-out games of {settings.records} (sha256 {settings.records_sha256[:12]}, seed {settings.seed}, "
            f"{opponent}, judge {settings.judge})"
        ),
        pool=_pool(settings),
        run_seed=settings.model.run_seed,
        item_ids=tuple(game.spec.id for game in games),
        groups=tuple(game.spec.pair.near_duplicate_group for game in games),
        measures=measures,
    )


def _is_attacked(game: Game, settings: GamesSettings) -> bool:
    is_own_attack = settings.opponent is None or game.spec.id.startswith(f"{ATTACK}-")
    return is_own_attack and game.spec.data_type.is_adversarial


def _pool(settings: EvaluationSettings | GamesSettings) -> str | None:
    """Everything of the settings but the seed of the run, and what follows from it."""
    model = settings.model
    if model.run_configuration is None:
        return None
    kept = {name: value for name, value in dataclasses.asdict(settings).items() if name not in _NOT_POOLED_BY}
    return json.dumps([model.run_configuration, model.part, kept], sort_keys=True)


def _all(items: Sequence[ItemT], holds: Callable[[ItemT], bool]) -> tuple[bool, ...]:
    return tuple(holds(item) for item in items)


def _everything(items: Sequence[object]) -> tuple[bool, ...]:
    return (True,) * len(items)


def _not(flags: Sequence[bool]) -> tuple[bool, ...]:
    return tuple(not flag for flag in flags)


def _and(first: Sequence[bool], second: Sequence[bool]) -> tuple[bool, ...]:
    return tuple(a and b for a, b in zip(first, second, strict=True))


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
