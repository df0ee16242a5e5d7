"""One model's held-out games: against itself, or in both roles against an opponent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..callbacks import Notify
from ..judge.protocol import Judge
from ..records import Game, GameSpec
from .game_metrics import assessor_figures, attacker_figures
from .medec_metrics import Figure
from .players import Player, assessed, attacked

SELF, ATTACK, ASSESS = "self", "attack", "assess"
"""How the ids of games begin: the model plays both roles, attacks its opponent, or assesses the opponent's notes."""


@dataclass(frozen=True)
class ModelGames:
    """The games of one model, and its figures by name."""

    games: tuple[Game, ...]
    figures: dict[str, Figure]

    def revisions(self) -> list[str]:
        """The notes that the model wrote as an attacker."""
        return [
            game.note
            for game in self.games
            if game.note is not None
            and game.spec.data_type.is_adversarial
            and not game.spec.id.startswith(f"{ASSESS}-")
        ]


def play_model_games(
    specs: Sequence[GameSpec],
    player: Player,
    opponent: Player | None,
    judge: Judge,
    *,
    seed: int,
    on_progress: Notify = lambda _: None,
) -> ModelGames:
    """Play ``specs`` and measure the model in both roles.

    Args:
        specs: the same for every model that is compared.
        opponent: who plays the other role; None: the model itself.
    """
    if opponent is None:
        games = _play(specs, player, player, judge, seed, on_progress)
        figures = assessor_figures(games, seed) | attacker_figures(games, seed)
        return ModelGames(_named(games, SELF), figures)
    adversarial = [spec for spec in specs if spec.data_type.is_adversarial]
    assess_games = _play(specs, opponent, player, judge, seed, on_progress)
    attack_games = _play(adversarial, player, opponent, judge, seed, on_progress)
    figures = assessor_figures(assess_games, seed) | attacker_figures(attack_games, seed)
    return ModelGames(_named(assess_games, ASSESS) + _named(attack_games, ATTACK), figures)


def _play(
    specs: Sequence[GameSpec], attacker: Player, assessor: Player, judge: Judge, seed: int, on_progress: Notify
) -> list[Game]:
    return assessed(attacked(specs, attacker, seed, on_progress), assessor, judge, seed, on_progress)


def _named(games: Sequence[Game], role: str) -> tuple[Game, ...]:
    """The games under ids that say the model's role; a ruling follows its game."""
    return tuple(_renamed(game, f"{role}-{game.spec.id}") for game in games)


def _renamed(game: Game, game_id: str) -> Game:
    ruling = None if game.ruling is None else replace(game.ruling, game_id=game_id)
    return replace(game, spec=replace(game.spec, id=game_id), ruling=ruling)
