"""From ruled games to training samples: one for each trained turn that has a reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..game_config import GameConfig
from ..records import Game, Sample
from ..rewards import rewards_of


def score(games: Sequence[Game], config: GameConfig) -> list[Game]:
    """The games with their rewards.

    Raises:
        ValueError: a game still awaits its ruling.
    """
    return [replace(game, rewards=rewards_of(game, config)) for game in games]


def samples_of(games: Sequence[Game]) -> list[Sample]:
    """The samples to learn from, in the order of the games, attacker before assessor."""
    return [sample for game in games for sample in _samples_of_game(game)]


def _samples_of_game(game: Game) -> list[Sample]:
    samples: list[Sample] = []
    for reward in game.rewards:
        turn = game.turn_of(reward.role)
        if turn is None:
            raise ValueError(f"game {game.spec.id} has a reward for the {reward.role.value} but no such turn")
        samples.append(Sample(game.spec.id, turn, reward))
    return samples
