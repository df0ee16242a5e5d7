"""Self-play of the demo policy in its small world, and how well its assessor does before and after on held-out notes.

The held-out notes are shown twice: as they were written, and as the attacker revised them that the run started from.
The revised texts are the same before and after, and for every run that is compared.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..chat_template import today
from ..config import DataConfig, RunConfig
from ..data.synthetic.demo_world import heldout_records, played_records
from ..evaluation.game_metrics import HeldoutScore, balanced_accuracy
from ..evaluation.heldout import attack_notes, evaluate_heldout
from ..jsonl import write_jsonl
from ..judging import reference_judge
from ..policy.policy import Policy
from ..policy.transformers_rollout import TransformersRollout
from ..records import Game, Labels, TrainingRecord
from ..rewards import is_verdict_right
from ..rl.loop import TrainingResult
from ..rl.protocols import Listener, ListenerGroup
from ..runs.folder import RunFolder
from ..runs.info import check_is_free
from .session import start_run

PLAYED_CASES = 2000
_HELDOUT_SEED = 7


@dataclass(frozen=True)
class HeldoutNotes:
    """One group of held-out notes, as one kind of text."""

    group: str
    is_revised: bool
    records: tuple[TrainingRecord, ...]


@dataclass(frozen=True)
class DemoResult:
    """What a run of the demo came to."""

    training: TrainingResult
    scores: tuple[HeldoutScore, ...]
    example: tuple[Game, Game] | None
    """A revised note that the assessor misjudged before and judges rightly after, if there is one."""


def run_demo(config: RunConfig, path: Path, listeners: Sequence[Listener] = (), *, heldout_cases: int) -> DemoResult:
    """Make a run at ``path`` with the demo's notes, and assess held-out notes before and after.

    Args:
        config: of the preset ``demo``, perhaps changed; its data is replaced by the demo's.
        path: where the run goes.
        listeners: told what happens.
        heldout_cases: cases in each group of held-out notes.

    Raises:
        MedicalTeamError: something that the user can mend.
    """
    told = ListenerGroup(listeners)
    check_is_free(path)
    config = config.begun_on(today())
    told.notice("Writing held-out notes, and letting the attacker revise them ...")
    notes = heldout_notes(config, heldout_cases)
    before = assessed(config, notes, step=-1)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.jsonl"
        write_jsonl(data, played_records(PLAYED_CASES, config.training.seed))
        # The notes before and after are assessed here, so the run itself needs none.
        training = start_run(replace(config, data=DataConfig(train=str(data))), path, listeners)
    if not training.is_finished:
        return DemoResult(training, (), None)
    told.notice("Assessing the held-out notes again ...")
    trained = replace(config, policy=replace(config.policy, model=str(RunFolder.open(path).final_path)))
    after = assessed(trained, notes, step=training.completed_steps - 1)
    scores = [_score(*games) for games in zip(notes, before, after, strict=True)]
    return DemoResult(training, tuple(score for score in scores if score), _example(notes, before, after))


def heldout_notes(config: RunConfig, cases: int) -> list[HeldoutNotes]:
    """The groups of held-out notes: each as written, and as the policy of ``config`` revises it."""
    judge = reference_judge()
    rollout = TransformersRollout(Policy(config.policy, seed=_HELDOUT_SEED), config.rollout)
    # The same texts whatever the run's seed is.
    config = replace(config, training=replace(config.training, seed=_HELDOUT_SEED))
    notes: list[HeldoutNotes] = []
    for group, records in heldout_records(cases, _HELDOUT_SEED).items():
        notes.append(HeldoutNotes(group, False, tuple(records)))
        notes.append(HeldoutNotes(group, True, attack_notes(records, rollout, judge, config, name=group).records))
    return notes


def assessed(config: RunConfig, notes: Sequence[HeldoutNotes], *, step: int) -> list[tuple[Game, ...]]:
    """The verdicts of the policy of ``config`` on each group of ``notes``, greedily drawn."""
    judge = reference_judge()
    rollout = TransformersRollout(Policy(config.policy, seed=config.training.seed), config.rollout)
    games: list[tuple[Game, ...]] = []
    for group in notes:
        all_of_them = replace(config.checkpoints, evaluation_games=2 * len(group.records))
        whole = replace(config, checkpoints=all_of_them)
        games.append(evaluate_heldout(group.records, rollout, judge, whole, step=step).games)
    return games


def _score(group: HeldoutNotes, before: Sequence[Game], after: Sequence[Game]) -> HeldoutScore | None:
    was, became = balanced_accuracy(before), balanced_accuracy(after)
    if was is None or became is None:
        return None
    return HeldoutScore(group.group, group.is_revised, was, became)


def _example(
    notes: Sequence[HeldoutNotes], before: Sequence[Sequence[Game]], after: Sequence[Sequence[Game]]
) -> tuple[Game, Game] | None:
    learnt = [
        (first, second)
        for group, was, became in zip(notes, before, after, strict=True)
        for first, second in zip(was, became, strict=True)
        if group.is_revised and _is_wrong(first) and not _is_wrong(second)
    ]
    # An error that was missed and is found now tells more than a false alarm that is gone.
    return max(learnt, key=lambda games: games[1].spec.data_type.is_harmful, default=None)


def _is_wrong(game: Game) -> bool:
    return not (isinstance(game.ruling, Labels) and is_verdict_right(game.ruling))
