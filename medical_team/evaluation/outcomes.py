"""What an evaluation found, item by item, from either kind of folder, so that evaluations can be laid side by side.

An item is a text of MEDEC or a held-out game. A measure is the mean of one or more rates over some of the items.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..errors import DataError
from ..records import Game
from .evaluation_folder import EvaluationFolder, EvaluationSettings
from .game_facts import has_error, is_assessed, is_assessor_right, is_attack_successful, is_decided, says_harmful
from .games_folder import SETTINGS, GamesSettings, read_games
from .model_games import ATTACK

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
