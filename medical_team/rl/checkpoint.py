"""Saving and restoring a run's state. A checkpoint appears whole or not at all.

step-000010/
    checkpoint.json          what it is; its presence marks the folder as complete
    policy/                  a Hugging Face folder: weights (a LoRA adapter, or full), tokenizer, model card
    optimizer.safetensors    AdamW's state

Where each role has a policy of its own, these are the assessor's, and the attacker's are policy/attacker/ and
attacker_optimizer.safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import TrainingError
from ..files import atomic_folder
from ..metrics.card_figures import criteria_table, figures_table
from ..metrics.step_metrics import BALANCED_ACCURACY
from ..policy.pair import ATTACKER_FOLDER
from ..records import Source
from ..runs.checkpoints import MARKER
from ..runs.folder import RunFolder
from .model_card import model_card
from .protocols import POLICY_FOLDER, Learner

FORMAT = 1


def save_when_due(
    run: RunFolder, learner: Learner, step: int, metrics: Mapping[str, float], *, is_stopping: bool
) -> None:
    """Save after ``step`` if it is due: by the interval, at the end, or because the policy is the best yet."""
    config = run.config
    is_due = (step + 1) % config.checkpoints.save_every == 0 or step + 1 == run.total_steps or is_stopping
    best = run.checkpoints.best()
    accuracy = metrics.get(BALANCED_ACCURACY)
    is_best = accuracy is not None and (best is None or accuracy > best.value)
    if is_due or is_best:
        save_checkpoint(run, learner, step + 1)
    if accuracy is not None and is_best:
        run.checkpoints.record_best(step + 1, BALANCED_ACCURACY, accuracy)


def save_if_missing(run: RunFolder, learner: Learner, completed_steps: int) -> None:
    """Save the state after ``completed_steps``, unless there is nothing to save or it is saved already."""
    if completed_steps > (run.checkpoints.latest() or 0):
        save_checkpoint(run, learner, completed_steps)


def save_checkpoint(run: RunFolder, learner: Learner, completed_steps: int) -> Path:
    """Write the state after ``completed_steps`` and forget checkpoints that are not kept.

    Raises:
        OutputError: it can't be written; the checkpoints before it stay.
    """
    path = run.checkpoints.path_of(completed_steps)
    with atomic_folder(path) as folder:
        learner.save(folder)
        _write_card(run, completed_steps, folder / POLICY_FOLDER)
        policy = run.config.policy
        marker = {
            "format": FORMAT,
            "completed_steps": completed_steps,
            "adaptation": policy.adaptation,
            "roles": policy.roles,
        }
        (folder / MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")
    best = run.checkpoints.best()
    run.checkpoints.prune(run.config.checkpoints.keep_last, best.step if best else None)
    return path


def restore_latest(run: RunFolder, learner: Learner) -> int:
    """Take over the last checkpoint and put later games and metrics aside. Returns the number of completed steps.

    Raises:
        TrainingError: the checkpoint was written by a newer version or for another policy.
        PolicyError: its weights can't be read.
    """
    completed_steps = run.checkpoints.latest()
    if completed_steps is None:
        # Also what was recorded before the first step is recorded again.
        run.rewind(-1)
        return 0
    path = run.checkpoints.path_of(completed_steps)
    marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
    if marker.get("format") != FORMAT:
        raise TrainingError(f"{path} has format {marker.get('format')}, expected {FORMAT}: another version wrote it")
    if marker.get("adaptation") != run.config.policy.adaptation:
        raise TrainingError(f"{path} was written with policy.adaptation = {marker.get('adaptation')!r}")
    if marker.get("roles", "shared") != run.config.policy.roles:
        raise TrainingError(f"{path} was written with policy.roles = {marker.get('roles', 'shared')!r}")
    learner.restore(path)
    run.rewind(completed_steps)
    return completed_steps


def save_final(run: RunFolder, learner: Learner) -> Path:
    """Write the trained model as a full Hugging Face folder. Nothing can be learnt afterwards.

    Raises:
        OutputError: it can't be written; the checkpoints stay.
    """
    with atomic_folder(run.final_path) as folder:
        learner.export(folder)
        _write_card(run, run.total_steps, folder, [criteria_table(run)] if run.info.kind == "self-play" else [])
    return run.final_path


def _write_card(run: RunFolder, completed_steps: int, folder: Path, more_tables: Sequence[str] = ()) -> None:
    card = model_card(
        run.config,
        completed_steps,
        run.info.kind,
        sources=_sources(run),
        tables=[figures_table([metrics.values for metrics in run.metrics()]), *more_tables],
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    if (folder / ATTACKER_FOLDER).is_dir():
        (folder / ATTACKER_FOLDER / "README.md").write_text(card, encoding="utf-8")


def _sources(run: RunFolder) -> tuple[Source, ...]:
    return tuple({record.source for record in run.training_records()})
