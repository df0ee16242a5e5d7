"""The training loop: collect, learn, tell, save, and begin where a run was saved last. It is handed its parts and knows
none of their kinds. What lies in a checkpoint is told in :mod:`..runs.checkpoints`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from ..errors import PolicyError, TrainingError
from ..files import atomic_folder
from ..game.rollout import TrainingRollout
from ..judge.protocol import Judge
from ..metrics.step_metrics import BALANCED_ACCURACY, step_metrics
from ..policy.pair import ATTACKER_FOLDER
from ..runs.checkpoints import MARKER, POLICY_FOLDER, CheckpointInfo
from ..runs.folder import RunFolder
from .experience import usual_source
from .model_card import criteria_table, figures_table, model_card
from .protocols import ExperienceSource, Learner, Listener, ListenerGroup, StepTimer
from .surroundings import HeldoutEvaluation, OpponentPool, disk_metrics


@dataclass(frozen=True)
class TrainingResult:
    """How a call of :func:`train` ended. It is not finished when someone asked it to stop."""

    is_finished: bool
    completed_steps: int


def train(
    run: RunFolder,
    learner: Learner,
    rollout: TrainingRollout,
    judge: Judge,
    listeners: Sequence[Listener] = (),
    *,
    source: ExperienceSource | None = None,
    stop: Event | None = None,
) -> TrainingResult:
    """Train from the last checkpoint of ``run``, or from the start, to its last step.

    The caller holds the run's lock. Everything random derives from the run's seed and the step, so a resumed run goes
    on to the same numbers.

    Args:
        run: what to play with, under which rules, for how long; takes in games, metrics and checkpoints.
        learner: what learns.
        rollout: who speaks; follows the learner after each step.
        judge: who rules.
        listeners: told of each step.
        source: where the samples come from; None: self-play, or demonstrations, as the kind of the run says.
        stop: asked after each step.

    Raises:
        MedicalTeamError: something that the user can mend; games and checkpoints so far are on disk.
    """
    told = ListenerGroup(listeners)
    timer = StepTimer(told.phase)
    source = source or usual_source(run, rollout, judge)
    evaluation = HeldoutEvaluation(run, rollout, judge, timer)
    first_step = restore_latest(run, learner)
    opponents = OpponentPool(run, rollout)
    opponents.resume(first_step)
    rollout.follow()
    told.run_started(run, first_step)
    try:
        if first_step == 0:
            evaluation.before_training()
        for step in range(first_step, run.total_steps):
            try:
                experience = source.collect(step, timer)
            except PolicyError:
                # Nobody speaks any more; what was learnt so far must not be lost with it.
                with timer.phase("save"):
                    _save_if_missing(run, learner, step)
                raise
            with timer.phase("learn"):
                rollout.rest()
                update = learner.learn(experience, step)
                rollout.follow()
                opponents.after_step(step, learner)
            heldout = evaluation.when_due(step)
            metrics = heldout | step_metrics(experience.games, update, timer.take_seconds())
            metrics |= {**rollout.take_metrics(), **learner.device_metrics(), **disk_metrics(run)}
            run.append_metrics(step, metrics)
            told.step_ended(step, experience.games, metrics)
            is_stopping = stop is not None and stop.is_set()
            with timer.phase("save"):
                save_when_due(run, learner, step, metrics, is_stopping=is_stopping)
            if is_stopping:
                return TrainingResult(is_finished=False, completed_steps=step + 1)
        with timer.phase("save"):
            _save_final(run, learner)
    finally:
        told.run_ended()
    return TrainingResult(is_finished=True, completed_steps=run.total_steps)


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
        _save_checkpoint(run, learner, step + 1)
    if accuracy is not None and is_best:
        run.checkpoints.record_best(step + 1, BALANCED_ACCURACY, accuracy)


def _save_if_missing(run: RunFolder, learner: Learner, completed_steps: int) -> None:
    """Save the state after ``completed_steps``, unless there is nothing to save or it is saved already."""
    if completed_steps > (run.checkpoints.latest() or 0):
        _save_checkpoint(run, learner, completed_steps)


def _save_checkpoint(run: RunFolder, learner: Learner, completed_steps: int) -> Path:
    """Write the state after ``completed_steps`` and forget checkpoints that are not kept.

    Raises:
        OutputError: it can't be written; the checkpoints before it stay.
    """
    path = run.checkpoints.path_of(completed_steps)
    with atomic_folder(path) as folder:
        learner.save(folder)
        _write_card(run, completed_steps, folder / POLICY_FOLDER)
        policy = run.config.policy
        CheckpointInfo(completed_steps, policy.adaptation, policy.roles).write(folder)
    best = run.checkpoints.best()
    run.checkpoints.prune(run.config.checkpoints.keep_last, best.step if best else None)
    return path


def restore_latest(run: RunFolder, learner: Learner) -> int:
    """Take over the last checkpoint and put later games and metrics aside. Returns the number of completed steps.

    Raises:
        TrainingError: the checkpoint was written by a newer version or for another policy, or a later one is not whole.
        PolicyError: its weights can't be read.
    """
    completed_steps = run.checkpoints.latest()
    if incomplete := run.checkpoints.incomplete_after(completed_steps or 0):
        raise TrainingError(
            f"{incomplete[-1]} has no {MARKER}, so it is not whole: a copy was cut off, or files were deleted. "
            f"Bring it back, or delete that folder to go on after {completed_steps or 0} steps."
        )
    if completed_steps is None:
        # Also what was recorded before the first step is recorded again.
        run.rewind(-1)
        return 0
    path = run.checkpoints.path_of(completed_steps)
    saved = CheckpointInfo.read(path)
    if saved.adaptation != run.config.policy.adaptation:
        raise TrainingError(f"{path} was written with policy.adaptation = {saved.adaptation!r}")
    if saved.completed_steps != completed_steps:
        raise TrainingError(
            f"{path} holds the state after {saved.completed_steps} steps, so the folder was renamed: give it its own "
            f"name, {run.checkpoints.path_of(saved.completed_steps).name}."
        )
    if saved.roles != run.config.policy.roles:
        raise TrainingError(f"{path} was written with policy.roles = {saved.roles!r}")
    run.check_games_are_there()
    learner.restore(path)
    run.rewind(completed_steps)
    return completed_steps


def _save_final(run: RunFolder, learner: Learner) -> Path:
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
        sources={record.source for record in run.training_records()},
        tables=[figures_table([metrics.values for metrics in run.metrics()]), *more_tables],
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    if (folder / ATTACKER_FOLDER).is_dir():
        (folder / ATTACKER_FOLDER / "README.md").write_text(card, encoding="utf-8")
