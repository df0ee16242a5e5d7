"""A batch of this package's own games, played in the four steps of the fork's game manager.

All four categories are played. The rules, prompts, judges and rewards are those of :mod:`...game`, :mod:`...judge` and
:mod:`...rewards`: hidden thinking stays hidden, a game may end early, and a judge's failure is never a reward.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import UsageError
from ...game.draw import numbered_game, playable_records
from ...game.play import play, samples_of, score
from ...game.rollout import Rollout
from ...game_config import GameConfig, RolloutConfig
from ...judge.protocol import Judge, rule_games
from ...records import Game, GameSpec, GameState, Ruling, TrainingRecord
from ...samples import Sample


class MedicalGameManager:
    """Plays a batch of games. The four methods are called in their order; each begins where the last one ended.

    Args:
        rollout: the policy, or whatever else replies to requests.
        judge: rules on the games.
        game_config: the rules.
        rollout_config: how replies are drawn.
        seed: decides the replies, with each game's id and role.
    """

    def __init__(
        self,
        rollout: Rollout,
        judge: Judge,
        game_config: GameConfig | None = None,
        rollout_config: RolloutConfig | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self._rollout = rollout
        self._judge = judge
        self._game_config = game_config or GameConfig()
        self._rollout_config = rollout_config or RolloutConfig()
        self._seed = seed
        self._specs: Sequence[GameSpec] = ()
        self._games: list[Game] | None = None

    def initialize_games(self, records: Sequence[TrainingRecord], *, step: int = 0) -> Sequence[GameSpec]:
        """Set up a game for each record that the rules let play, in their order.

        Args:
            records: what to play with.
            step: part of the games' ids, so that they are unique in a run.

        Raises:
            UsageError: the rules let none play.
        """
        self._specs = [
            numbered_game(record, step, index, is_vanilla=self._game_config.no_attacker_turn)
            for index, record in enumerate(playable_records(records, self._game_config))
        ]
        self._games = None
        return self._specs

    def play_games(self) -> list[Game]:
        """Play both turns of all games, up to the judge's ruling.

        Raises:
            UsageError: there are no games yet.
        """
        if not self._specs:
            raise UsageError("there are no games to play: call initialize_games first")
        self._games = play(self._specs, self._rollout, self._game_config, self._rollout_config, seed=self._seed)
        return self._games

    def evaluate_game_outcomes(self) -> Mapping[str, Ruling]:
        """Ask the judge about all games at once: the ruling of each game that has one, by its id.

        Raises:
            UsageError: the games were not played yet.
        """
        self._games = rule_games(self._played(), self._judge, self._game_config.undecidable)
        return {game.spec.id: game.ruling for game in self._games if game.ruling is not None}

    def filter_and_compute_rewards(self) -> tuple[list[Game], list[Sample]]:
        """The games with their rewards, and the samples to learn from: void games and dropped ties give none.

        Raises:
            UsageError: the games were not played and ruled on yet.
        """
        games = self._played()
        if any(game.state is GameState.AWAITING_RULING for game in games):
            raise UsageError("games await their ruling: call evaluate_game_outcomes first")
        self._games = score(games, self._game_config)
        return self._games, samples_of(self._games)

    def _played(self) -> list[Game]:
        if self._games is None:
            raise UsageError("the games were not played yet: call play_games first")
        return self._games
