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
from ..metrics.statistics import GroupBootstrap, Interval, McNemar, Spread, interval_of, mcnemar, mean_rate, spread
from ..metrics.step_metrics import is_assessor_right
from ..records import Game
from .game_metrics import has_error, is_assessed, is_attack_successful, is_decided, says_harmful
from .medec import EvaluationFolder, EvaluationSettings
from .model_games import ATTACK, SETTINGS, GamesSettings, read_games

ItemT = TypeVar("ItemT")

_NOT_POOLED_BY = ("model", "seed", "package_version", "training_texts", "left_out")


Flags = NDArray[np.bool_]
"""A truth value for each item."""


@dataclass(frozen=True)
class Measure:
    """The mean of ``outcomes`` over the items that are ``members``; over two sets of members a balanced accuracy."""

    outcomes: Flags
    members: tuple[Flags, ...]

    def ordered(self, order: Sequence[int]) -> Measure:
        """The same with the items in another order."""
        return Measure(self.outcomes[order], tuple(members[order] for members in self.members))


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
    measures: dict[str, Measure]
    """The accuracy comes first."""


def read_outcomes(path: Path) -> Outcomes:
    """The evaluation at ``path``, made by ``eval medec`` or ``eval games``.

    Raises:
        DataError: there is none, it is damaged, or it is not finished.
    """
    return _game_outcomes(path) if (path / SETTINGS).is_file() else _medec_outcomes(path)


def _medec_outcomes(path: Path) -> Outcomes:
    folder = EvaluationFolder.open(path)
    predictions, settings = folder.predictions(), folder.settings
    if len(predictions) != settings.texts:
        is_more = len(predictions) > settings.texts
        remedy = "was the file copied behind itself?" if is_more else "give its command again to finish it"
        problem = f"{len(predictions)} of {settings.texts} texts are predicted: {remedy}"
        raise DataError(f"{path} can't be compared:", [problem])
    everything = np.ones(len(predictions), dtype=bool)
    is_right = _flags(predictions, lambda prediction: prediction.is_flag_right)
    error = _flags(predictions, lambda prediction: prediction.has_error)
    measures = {
        "flag_accuracy": Measure(is_right, (everything,)),
        "balanced_accuracy": Measure(is_right, (error, ~error)),
        "detection_rate": Measure(is_right, (error,)),
        "false_alarm_rate": Measure(_flags(predictions, lambda prediction: prediction.flag is True), (~error,)),
        "no_prediction_rate": Measure(_flags(predictions, lambda prediction: prediction.flag is None), (everything,)),
    }
    if settings.task == "three-part":
        is_named = _flags(predictions, lambda prediction: prediction.is_sentence_right)
        measures["sentence_accuracy"] = Measure(is_named, (everything,))
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
    assessed = _flags(games, lambda game: is_assessed(game) and not game.spec.id.startswith(f"{ATTACK}-"))
    attacked = _flags(games, lambda game: _is_attacked(game, settings) and is_decided(game))
    is_right, error = _flags(games, is_assessor_right), _flags(games, has_error)
    other = settings.opponent
    opponent = f"against {other.label} {(other.fingerprint or '')[:12]}".rstrip() if other else "against itself"
    measures = {
        "assessor_accuracy": Measure(is_right, (assessed,)),
        "balanced_accuracy": Measure(is_right, (assessed & error, assessed & ~error)),
        "detection_rate": Measure(is_right, (assessed & error,)),
        "false_alarm_rate": Measure(_flags(games, says_harmful), (assessed & ~error,)),
        "attacker_success_rate": Measure(_flags(games, is_attack_successful), (attacked,)),
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


def _flags(items: Sequence[ItemT], holds: Callable[[ItemT], bool]) -> Flags:
    return np.array(list(map(holds, items)), dtype=bool)


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
    measures = {name: measure.ordered(order) for name, measure in other.measures.items()}
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


def _draws(side: Sequence[Outcomes], name: str, bootstrap: GroupBootstrap) -> NDArray[np.float64]:
    measures = [outcomes.measures[name] for outcomes in side]
    return np.mean([bootstrap.mean_rates(measure.outcomes, *measure.members) for measure in measures], axis=0)


def _spread(side: Sequence[Outcomes], name: str) -> Spread | None:
    measures = [outcomes.measures[name] for outcomes in side]
    values = [mean_rate(measure.outcomes, *measure.members) for measure in measures]
    known = [value for value in values if value is not None]
    return spread(known) if len(known) == len(values) else None


def _mcnemar(first: Sequence[Outcomes], second: Sequence[Outcomes]) -> McNemar | None:
    """Whether the assessors of two single runs have the same items right, of those that count for both."""
    if len(first) > 1 or len(second) > 1:
        return None
    ones, others = (next(iter(side[0].measures.values())) for side in (first, second))
    counted = ones.members[0] & others.members[0]
    return mcnemar(ones.outcomes[counted].tolist(), others.outcomes[counted].tolist())
