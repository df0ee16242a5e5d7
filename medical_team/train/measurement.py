"""Measuring a step before there is a run: the longest notes through the rollout engine and the learner that the run
would have. Nothing is fetched and nothing is written, and no judge is asked: the rewards are made up, since what
learning takes doesn't depend on them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, cycle, islice, zip_longest
from pathlib import Path

import torch

from ..config import DEMO_MODEL, SMOLLM2_MODEL, TINY_RANDOM_MODEL, RunConfig
from ..errors import MedicalTeamError
from ..game.draw import GameDraw
from ..game.play import play
from ..planning.plan import GIB, Measurement, Unknown
from ..policy.hub import cached_folder
from ..policy.rollout_engines import choose_engine
from ..policy.shipped_models import smollm2_here
from ..records import DataType, Game, Reward, Role, TrainingRecord
from ..rl.protocols import Experience, ListenerGroup
from ..rl.role_learners import make_learner
from ..samples import Sample
from ..words import fold_white_space
from .session import prepare_run


def measure_step(config: RunConfig) -> Measurement | Unknown:
    """Play and learn from a step of ``config``, or as much of it as one batch of replies; else why that can't be.

    A CPU's peak is that of this process since its start, so that a process should measure once.
    """
    if not _is_here(config.policy.model):
        return Unknown(f"{config.policy.model} is not on this machine; `hf download {config.policy.model}` fetches it")
    try:
        return _measured(config)
    except torch.OutOfMemoryError as error:
        return Unknown(f"the memory ran out: {str(error).splitlines()[0]}")
    except MedicalTeamError as error:
        return Unknown(fold_white_space(str(error)))


def _measured(config: RunConfig) -> Measurement | Unknown:
    begun = prepare_run(config, ListenerGroup([]))
    engine = choose_engine(begun.policies, begun.config.rollout, warn=lambda text: None)
    try:
        config = replace(begun.config, rollout=engine.config)
        learner = make_learner(begun.policies, config)
        training = config.training
        draw = GameDraw(begun.records, config.game, games_per_step=training.games_per_step, seed=training.seed)
        count = max(2, min(training.games_per_step, config.rollout.batch_size))
        specs = [draw.spec_of(record, number) for number, record in enumerate(_longest(draw.records, count))]
        started = time.perf_counter()
        games = play(specs, engine.rollout, config.game, config.rollout, seed=training.seed)
        played = time.perf_counter()
        samples = tuple(_rewarded(games))
        if not samples:
            return Unknown(games[0].reason)
        learning = time.perf_counter()
        engine.rollout.rest()
        learner.learn(Experience(config.learning_rate, samples), 0)
        engine.rollout.follow()
        learnt = time.perf_counter()
    finally:
        engine.rollout.close()
    metrics = learner.device_metrics()
    device = begun.policies.policy_of(Role.ASSESSOR).device
    tokens = sum(len(sample.prompt_token_ids) + len(sample.token_ids) for sample in samples)
    return Measurement(
        games=count,
        games_per_step=training.games_per_step,
        where="this process on a CPU, with its libraries" if device.type == "cpu" else "the GPU",
        peak_bytes=round(metrics.get("memory/peak_gib", 0.0) * GIB) or None,
        generated_tokens=sum(len(turn.token_ids) for game in games for turn in game.turns),
        rollout_seconds=played - started,
        learnt_tokens=tokens * training.epochs_per_step,
        training_seconds=learnt - learning,
    )


def _is_here(model: str) -> bool:
    if model in (DEMO_MODEL, TINY_RANDOM_MODEL) or Path(model).expanduser().is_dir():
        return True
    return (smollm2_here() if model == SMOLLM2_MODEL else cached_folder(model)) is not None


def _longest(records: Sequence[TrainingRecord], count: int) -> Iterator[TrainingRecord]:
    """The longest notes, by turns of each category, again from the first where there are fewer than ``count``."""
    ordered = sorted(records, key=lambda record: len(record.note), reverse=True)
    by_type = [[record for record in ordered if record.data_type is data_type] for data_type in DataType]
    turns = [record for record in chain.from_iterable(zip_longest(*by_type)) if record is not None]
    return islice(cycle(turns), count)


def _rewarded(games: Sequence[Game]) -> Iterator[Sample]:
    """The trained turns with rewards that differ: where all are equal there is nothing to learn."""
    for number, game in enumerate(games):
        for turn in game.turns:
            if turn.is_trained:
                total = 1.0 if number % 2 else -1.0
                yield Sample(game.spec.id, turn, Reward(turn.role, total, None, None, total))
