"""Where the samples of a step come from: games of self-play, or the demonstrations of a warm start."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from math import cos, pi

from ..config import RunConfig
from ..demonstrations.draw import Demonstration, DemonstrationDraw
from ..game.draw import GameDraw
from ..game.opponents import OpponentDraw, Standings
from ..game.play import play, samples_of, score
from ..game.rollout import Rollout
from ..judge.protocol import Judge, rule_games
from ..records import Game, GameSpec, Role, TrainingRecord
from ..runs.folder import RunFolder
from ..samples import Sample
from .protocols import Experience, ExperienceSource, StepTimer

_MOST_ROUNDS = 8
"""Rounds of further games for a step's samples of the assessor; where hardly any game gives one, there are fewer."""

_COSINE_RISING_SHARE, _COSINE_LAST_SHARE = 0.03, 0.1
"""OpenRLHF's: the share of the steps over which the learning rate rises, and what is left of it after the last."""

_RISING_SHARE = 0.05
"""The share of a warm start's steps over which the learning rate rises from nothing."""


class SelfPlay:
    """Plays games, has them ruled on, and keeps them on disk before anybody learns from them.

    Args:
        run: whose notes are played with.
        rollout: who speaks.
        judge: who rules.
    """

    def __init__(self, run: RunFolder, rollout: Rollout, judge: Judge) -> None:
        self._run = run
        self._rollout = rollout
        self._judge = judge
        self._config = config = run.config
        records = run.training_records()
        training = config.training
        self._draw = GameDraw(records, config.game, games_per_step=training.games_per_step, seed=training.seed)
        self._opponents = OpponentDraw(config.opponents, config.game, seed=training.seed)
        self._standings: Standings | None = None
        self._demonstrations: DemonstrationDraw | None = None
        if training.demonstration_coefficient > 0:
            self._demonstrations = _draw(records, config)

    def collect(self, step: int, timer: StepTimer) -> Experience:
        """The games of ``step``, and the demonstrations that are mixed in."""
        config = self._config
        standings = self._standings_so_far()
        games = self._played(self._draw.specs(step), step, standings, timer)
        samples = samples_of(games)
        wanted = config.training.assessor_samples_per_step
        if wanted is not None:
            for _ in range(_MOST_ROUNDS):
                missing = wanted - _assessor_samples(samples)
                if missing <= 0:
                    break
                more = self._draw.more_specs(step, len(games), missing)
                games += self._played(more, step, standings, timer)
                samples = samples_of(games)
            samples = _without_more_assessors(samples, wanted)
        self._run.append_games(games)
        standings.add(games)
        mixed_in: Sequence[Demonstration] = ()
        if self._demonstrations is not None:
            mixed_in = self._demonstrations.demonstrations(step, config.training.demonstrations_per_step)
        return Experience(
            self_play_learning_rate(config, step),
            tuple(samples),
            tuple(games),
            tuple(mixed_in),
            config.training.demonstration_coefficient,
        )

    def _played(self, specs: Sequence[GameSpec], step: int, standings: Standings, timer: StepTimer) -> list[Game]:
        """The games of ``specs`` with whom the draw of opponents says, ruled on and scored."""
        config = self._config
        with timer.phase("play"):
            games = play(
                self._opponents.assigned(specs, step, standings),
                self._rollout,
                config.game,
                config.rollout,
                seed=config.training.seed,
                on_progress=timer.detail,
            )
        with timer.phase("judge"):
            return score(rule_games(games, self._judge, config.game.undecidable), config.game)

    def _standings_so_far(self) -> Standings:
        """How opponents have done so far: of a resumed run by the games on its disk."""
        if self._standings is None:
            self._standings = Standings()
            if self._config.opponents.are_there:
                for _, games in groupby(self._run.games(), key=lambda game: game.spec.step):
                    self._standings.add(list(games))
        return self._standings


def _assessor_samples(samples: Sequence[Sample]) -> int:
    return sum(sample.role is Role.ASSESSOR for sample in samples)


def _without_more_assessors(samples: Sequence[Sample], count: int) -> list[Sample]:
    """``samples`` without those of the assessor beyond the first ``count``."""
    beyond = {id(sample) for sample in [one for one in samples if one.role is Role.ASSESSOR][count:]}
    return [sample for sample in samples if id(sample) not in beyond]


class WarmStart:
    """Draws demonstrations of what players should say, for supervised learning before self-play.

    Args:
        run: a run of the warm start.
    """

    def __init__(self, run: RunFolder) -> None:
        self._config = run.config
        self._draw = _draw(run.training_records(), run.config)

    def collect(self, step: int, timer: StepTimer) -> Experience:
        """The demonstrations of ``step``."""
        with timer.phase("demonstrate"):
            drawn = self._draw.demonstrations(step, self._config.warmstart.demonstrations_per_step)
        return Experience(warm_start_learning_rate(self._config, step), demonstrations=tuple(drawn))


def usual_source(run: RunFolder, rollout: Rollout, judge: Judge) -> ExperienceSource:
    """Where a run of this kind learns from."""
    return WarmStart(run) if run.info.kind == "warm-start" else SelfPlay(run, rollout, judge)


def self_play_learning_rate(config: RunConfig, step: int) -> float:
    """Self-play's learning rate at ``step``, by ``training.learning_rate_schedule``."""
    if config.training.learning_rate_schedule == "constant":
        return config.learning_rate
    steps = config.training.steps
    rising = max(1, round(_COSINE_RISING_SHARE * steps))
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    fallen = (1 - cos(pi * (step + 1 - rising) / max(1, steps - rising))) / 2
    return config.learning_rate * (1 - (1 - _COSINE_LAST_SHARE) * fallen)


def warm_start_learning_rate(config: RunConfig, step: int) -> float:
    """The warm start's learning rate at ``step``: a short linear rise, then a linear fall to nothing after the last."""
    steps = config.warmstart.steps
    rising = max(1, round(_RISING_SHARE * steps))
    return config.warmstart_learning_rate * min((step + 1) / rising, (steps - step) / (steps - rising + 1))


def _draw(records: Sequence[TrainingRecord], config: RunConfig) -> DemonstrationDraw:
    return DemonstrationDraw(
        records, config.game, seed=config.training.seed, attacker_share=config.warmstart.attacker_share
    )
