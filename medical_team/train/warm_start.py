"""The warm start: supervised learning from demonstrations, with the learner of self-play."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from ..config import RunConfig
from ..demonstrations.draw import DemonstrationDraw
from ..judge.protocol import Judge
from ..metrics.alarms import alarms
from ..metrics.step_metrics import imitation_metrics
from ..policy.devices import peak_memory_bytes
from ..policy.policy import Policy
from ..policy.transformers_rollout import TransformersRollout
from ..records import TrainingRecord
from ..report.display import Display
from ..report.tensorboard import TensorBoardWriter
from ..rl.checkpoint import restore_latest, save_final, save_when_due
from ..rl.heldout_evaluation import HeldoutEvaluation
from ..rl.interruption import stop_on_signal
from ..rl.learner import Learner
from ..rl.loop import STOP_NOTICE, TrainingResult
from ..rl.sft import tokenized
from ..rl.step_timer import Phases
from ..rl.system_metrics import surroundings_metrics
from ..runs.folder import RunFolder

_RISING_SHARE = 0.05
"""The share of the steps over which the learning rate rises from nothing."""


def warm_start(
    run: RunFolder,
    policy: Policy,
    judge: Judge,
    display: Display,
    *,
    assessor_records: Sequence[TrainingRecord] | None = None,
    guessed_records: Sequence[TrainingRecord] = (),
) -> TrainingResult:
    """Teach ``policy`` from demonstrations, from the last checkpoint of ``run`` or from the start.

    The caller holds the run's lock. As in self-play everything random derives from the seed and the step.

    Args:
        run: a run of the warm start.
        policy: what learns.
        judge: for the evaluations on held-out notes.
        display: told of each step.
        assessor_records: teach verdicts for these alone; None: for all records of the run.
        guessed_records: show coin flips as verdicts for these.

    Raises:
        MedicalTeamError: something that the user can mend; checkpoints so far are on disk.
    """
    config = run.config
    warmstart = config.warmstart
    with stop_on_signal(lambda: display.notice(STOP_NOTICE)) as stop:
        phases = Phases(display)
        draw = DemonstrationDraw(
            run.training_records(),
            config.game,
            seed=config.training.seed,
            attacker_share=warmstart.attacker_share,
            assessor_records=assessor_records,
            guessed_records=guessed_records,
        )
        learner = Learner(policy, config)
        rollout = TransformersRollout(policy, config.rollout)
        evaluation = HeldoutEvaluation(run, rollout, judge, phases)
        first_step = restore_latest(run, policy, learner)
        display.start(warmstart.steps, first_step)
        tensorboard = TensorBoardWriter(run.tensorboard_path, first_step, display.notice)
        with contextlib.closing(tensorboard):
            if first_step == 0:
                evaluation.before_training()
            for step in range(first_step, warmstart.steps):
                with phases.phase("demonstrate"):
                    demonstrations = draw.demonstrations(step, warmstart.demonstrations_per_step)
                    examples = [tokenized(demonstration, policy, config) for demonstration in demonstrations]
                with phases.phase("learn"):
                    imitation = learner.imitate(examples, step, learning_rate(config, step))
                heldout = evaluation.when_due(step)
                metrics = heldout | imitation_metrics(
                    imitation, phases.take_seconds(), peak_memory_bytes(policy.device)
                )
                metrics |= surroundings_metrics(run, policy.device)
                run.append_metrics(step, metrics)
                tensorboard.write(step, metrics)
                display.step(step, metrics)
                display.alarms(alarms([metrics]))
                is_stopping = stop.is_made
                with phases.phase("save"):
                    save_when_due(run, policy, learner, step, metrics, is_stopping=is_stopping)
                if is_stopping:
                    return TrainingResult(is_finished=False, completed_steps=step + 1)
            with phases.phase("save"):
                save_final(run, policy)
    return TrainingResult(is_finished=True, completed_steps=warmstart.steps)


def learning_rate(config: RunConfig, step: int) -> float:
    """The learning rate of ``step``: a short linear rise, then a linear fall to nothing after the last step."""
    steps = config.warmstart.steps
    rising = max(1, round(_RISING_SHARE * steps))
    return config.warmstart_learning_rate * min((step + 1) / rising, (steps - step) / (steps - rising + 1))
