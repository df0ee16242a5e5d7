"""The training loop: draw, play, judge, score, learn; on one screen, with one policy for both roles."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from ..game.draw import GameDraw
from ..game.play import play
from ..game.score import generated_tokens, samples_of, score
from ..judge.protocol import Judge
from ..judge.ruling import rule_games
from ..metrics.alarms import alarms
from ..metrics.step_metrics import step_metrics
from ..policy.devices import peak_memory_bytes
from ..policy.policy import Policy
from ..policy.transformers_rollout import TransformersRollout
from ..report.display import Display
from ..report.tensorboard import TensorBoardWriter
from ..runs.folder import RunFolder
from .checkpoint import restore_latest, save_final, save_when_due
from .heldout_evaluation import HeldoutEvaluation
from .interruption import stop_on_signal
from .learner import Learner
from .sft import DemonstrationBatches
from .step_timer import Phases
from .system_metrics import surroundings_metrics

STOP_NOTICE = "Stopping after this step, then saving. Once more to stop at once."


@dataclass(frozen=True)
class TrainingResult:
    """How a call of :func:`train` ended. It is not finished when someone asked it to stop."""

    is_finished: bool
    completed_steps: int


def train(run: RunFolder, policy: Policy, judge: Judge, display: Display) -> TrainingResult:
    """Train ``policy`` from the last checkpoint of ``run``, or from the start, to its last step.

    The caller holds the run's lock. Everything random derives from the run's seed and the step, so a resumed run goes
    on to the same numbers.

    Raises:
        MedicalTeamError: something that the user can mend; games and checkpoints so far are on disk.
    """
    config = run.config
    training = config.training
    with stop_on_signal(lambda: display.notice(STOP_NOTICE)) as stop:
        phases = Phases(display)
        records = run.training_records()
        draw = GameDraw(records, config.game, games_per_step=training.games_per_step, seed=training.seed)
        demonstrations = DemonstrationBatches(records, policy, config)
        learner = Learner(policy, config)
        rollout = TransformersRollout(policy, config.rollout)
        evaluation = HeldoutEvaluation(run, rollout, judge, phases)
        first_step = restore_latest(run, policy, learner)
        history = [metrics.values for metrics in run.metrics()]
        display.start(training.steps, first_step)
        tensorboard = TensorBoardWriter(run.tensorboard_path, first_step, display.notice)
        with contextlib.closing(tensorboard):
            if first_step == 0:
                evaluation.before_training()
            for step in range(first_step, training.steps):
                with phases.phase("play"):
                    games = play(
                        draw.specs(step), rollout, config.game, config.rollout, seed=training.seed,
                        on_progress=phases.detail,
                    )  # fmt: skip
                with phases.phase("judge"):
                    games = score(rule_games(games, judge), config.game)
                    run.append_games(games)
                with phases.phase("learn"):
                    update = learner.learn(samples_of(games), step, demonstrations.of_step(step))
                heldout = evaluation.when_due(step)
                metrics = heldout | step_metrics(
                    games, update, phases.take_seconds(), generated_tokens(games), peak_memory_bytes(policy.device)
                )
                metrics |= surroundings_metrics(run, policy.device)
                run.append_metrics(step, metrics)
                tensorboard.write(step, metrics)
                history.append(metrics)
                display.step(step, metrics)
                display.alarms(alarms(history))
                is_stopping = stop.is_made
                with phases.phase("save"):
                    save_when_due(run, policy, learner, step, metrics, is_stopping=is_stopping)
                if is_stopping:
                    return TrainingResult(is_finished=False, completed_steps=step + 1)
            with phases.phase("save"):
                save_final(run, policy)
    return TrainingResult(is_finished=True, completed_steps=training.steps)
