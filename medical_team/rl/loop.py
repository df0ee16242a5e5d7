"""The training loop: collect, learn, tell, save. It is handed its parts and knows none of their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

from ..errors import PolicyError
from ..game.rollout import TrainingRollout
from ..judge.protocol import Judge
from ..metrics.step_metrics import step_metrics
from ..runs.folder import RunFolder
from .checkpoint import restore_latest, save_final, save_if_missing, save_when_due
from .experience import usual_source
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
                    save_if_missing(run, learner, step)
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
            save_final(run, learner)
    finally:
        told.run_ended()
    return TrainingResult(is_finished=True, completed_steps=run.total_steps)
