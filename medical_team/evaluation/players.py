"""Who plays an evaluation's games: a model with the rules and limits of the run that made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..callbacks import Notify
from ..config import GameConfig, RolloutConfig
from ..errors import UsageError
from ..game.play import assess, attack
from ..game.rollout import Rollout
from ..judge.protocol import Judge, rule_games
from ..records import DataType, Game, GameSpec, TrainingRecord
from ..seeds import derived_random


@dataclass(frozen=True)
class Player:
    """A model that can play both roles."""

    label: str
    rollout: Rollout
    game: GameConfig
    rollout_config: RolloutConfig


def game_specs(
    records: Sequence[TrainingRecord], games: int, seed: int, *, is_vanilla_too: bool = True
) -> list[GameSpec]:
    """At most ``games`` games, each category with the same share. The same for every model.

    Args:
        is_vanilla_too: False for games with an attacker alone.

    Raises:
        UsageError: there is no note for any category.
    """
    categories = [category for category in DataType if is_vanilla_too or category.is_adversarial]
    specs: list[GameSpec] = []
    for category in categories:
        side = [record for record in records if record.data_type.is_harmful == category.is_harmful]
        # The same notes whether an attacker rewrites them or not.
        derived_random(seed, "games", int(category.is_harmful)).shuffle(side)
        specs += [
            GameSpec.of(record, category, game_id=f"{category.value}-{index:04d}")
            for index, record in enumerate(side[: games // len(categories)])
        ]
    if not specs:
        raise UsageError(
            f"--games {games} of {len(records)} records leaves no game; at least {len(categories)} are needed"
        )
    return specs


def attacked(specs: Sequence[GameSpec], attacker: Player, seed: int, on_progress: Notify) -> list[Game]:
    """The games with the attackers' turns, drawn at their own temperature."""
    return attack(specs, attacker.rollout, attacker.game, attacker.rollout_config, seed=seed, on_progress=on_progress)


def assessed(games: Sequence[Game], assessor: Player, judge: Judge, seed: int, on_progress: Notify) -> list[Game]:
    """The games with the assessors' turns, greedy, and the judge's ruling."""
    played = assess(
        games,
        assessor.rollout,
        assessor.game,
        assessor.rollout_config,
        seed=seed,
        is_greedy=True,
        on_progress=on_progress,
    )
    return rule_games(played, judge, assessor.game.undecidable)
