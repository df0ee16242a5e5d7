"""Held-out notes as an attacker revised them: the same texts for every assessor that is compared on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..callbacks import Notify
from ..config import RunConfig
from ..game.play import play
from ..game.rollout import Rollout
from ..judge.protocol import Judge, JudgeQuery
from ..records import DataType, GameSpec, Labels, TrainingRecord


@dataclass(frozen=True)
class AttackedNotes:
    """``records`` hold the revised notes, as vanilla records of what the judge found in them."""

    records: tuple[TrainingRecord, ...]
    asked: int
    """Notes that the attacker was asked to revise; of the others there was no revision, or the judge can't tell."""


def attack_notes(
    records: Sequence[TrainingRecord],
    rollout: Rollout,
    judge: Judge,
    config: RunConfig,
    *,
    name: str,
    on_progress: Notify = lambda _: None,
) -> AttackedNotes:
    """Let the attacker revise the notes of ``records``, which are all adversarial, and ask the judge for the truth.

    Args:
        records: what is revised.
        sampler: who revises.
        judge: who says whether the revised note has an error.
        config: the rules and the limits.
        name: distinguishes these notes; with the seed it decides the replies.
        on_progress: told what is being played.
    """
    by_id = {f"{name}-{index:04d}": record for index, record in enumerate(records)}
    specs = [GameSpec.of(record, record.data_type, game_id=game_id) for game_id, record in by_id.items()]
    games = play(specs, rollout, config.game, config.rollout, seed=config.training.seed, on_progress=on_progress)
    queries = [
        JudgeQuery(game_id=game.spec.id, note=game.note, verdict=None, pair=game.spec.pair)
        for game in games
        if game.note is not None
    ]
    rulings = judge.rule(queries)
    revised = [
        replace(by_id[query.game_id], note=query.note, data_type=_vanilla(ruling.error_present))
        for query in queries
        if isinstance(ruling := rulings.get(query.game_id), Labels)
    ]
    return AttackedNotes(tuple(revised), len(records))


def _vanilla(has_error: bool) -> DataType:
    return DataType.VANILLA_HARMFUL if has_error else DataType.VANILLA_BENIGN
