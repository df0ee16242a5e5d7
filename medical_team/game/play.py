"""Playing games: the attackers of a step as one batch, then the assessors as one batch; and ruled games to
training samples, one for each trained turn that has a reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..callbacks import Notify, Progress
from ..game_config import GameConfig, RolloutConfig
from ..records import Game, GameSpec, GameState
from ..rewards import rewards_of
from ..samples import Sample
from .rollout import Rollout
from .turns import TurnRules, opened


def play(
    specs: Sequence[GameSpec],
    rollout: Rollout,
    game_config: GameConfig,
    rollout_config: RolloutConfig,
    *,
    seed: int,
    is_greedy: bool = False,
    on_progress: Notify = lambda _: None,
) -> list[Game]:
    """Play ``specs`` up to the judge's ruling: one game for each, in order.

    Args:
        seed: the run's seed; with the game's id and the role it decides a reply.
        is_greedy: take the likeliest tokens, as evaluation does.
        on_progress: told what is being played, for a display.
    """
    rules = TurnRules(game_config, rollout_config, seed=seed, is_greedy=is_greedy)
    return assess(attack(specs, rollout, rules, on_progress), rollout, rules, on_progress)


def attack(specs: Sequence[GameSpec], rollout: Rollout, rules: TurnRules, on_progress: Notify) -> list[Game]:
    """The first half of :func:`play`: the attackers' turns. Vanilla games have none."""
    games = [opened(spec) for spec in specs]
    attacked = [game for game in games if game.spec.data_type.is_adversarial]
    on_progress(f"{len(attacked)} attackers")
    requests = [rules.attacker_request(game) for game in attacked]
    replies = rollout.generate(requests, _counted(on_progress, f"{len(attacked)} attackers"))
    played = [rules.attacked(*turn) for turn in zip(attacked, requests, replies, strict=True)]
    return _merged(games, played)


def assess(games: Sequence[Game], rollout: Rollout, rules: TurnRules, on_progress: Notify) -> list[Game]:
    """The second half of :func:`play`: the assessors' turns in the games that have a note to read."""
    waiting = [game for game in games if game.state is GameState.AWAITING_RULING]
    on_progress(f"{len(waiting)} assessors")
    requests = [rules.assessor_request(game) for game in waiting]
    replies = rollout.generate(requests, _counted(on_progress, f"{len(waiting)} assessors"))
    played = [rules.assessed(*turn) for turn in zip(waiting, requests, replies, strict=True)]
    return _merged(games, played)


def _counted(on_progress: Notify, text: str) -> Progress:
    return lambda done, total: on_progress(f"{text} {done}/{total}")


def _merged(games: Sequence[Game], changed: Sequence[Game]) -> list[Game]:
    by_id = {game.spec.id: game for game in changed}
    return [by_id.get(game.spec.id, game) for game in games]


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
