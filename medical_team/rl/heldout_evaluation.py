"""Evaluating a run's policy on its held-out notes while it trains."""

from __future__ import annotations

from ..evaluation.heldout import evaluate_heldout
from ..game.rollout import Rollout
from ..judge.protocol import Judge
from ..runs.folder import RunFolder
from .step_timer import StepTimer


class HeldoutEvaluation:
    """Plays the held-out games of ``run`` when they are due; a run without held-out notes has none."""

    def __init__(self, run: RunFolder, rollout: Rollout, judge: Judge, timer: StepTimer) -> None:
        self._run = run
        self._records = run.heldout_records()
        self._rollout = rollout
        self._judge = judge
        self._timer = timer

    def before_training(self) -> None:
        """Record how the policy does before its first step, as step -1."""
        if metrics := self._evaluate(-1):
            self._run.append_metrics(-1, metrics)

    def when_due(self, step: int) -> dict[str, float]:
        """The metrics after ``step``, where an evaluation is due; else none."""
        config = self._run.config
        is_due = (step + 1) % config.checkpoints.evaluate_every == 0 or step + 1 == self._run.total_steps
        return self._evaluate(step) if is_due else {}

    def _evaluate(self, step: int) -> dict[str, float]:
        if not self._records:
            return {}
        with self._timer.phase("evaluate"):
            result = evaluate_heldout(
                self._records,
                self._rollout,
                self._judge,
                self._run.config,
                step=step,
                on_progress=self._timer.detail,
            )
            self._run.append_heldout_games(result.games)
        return result.metrics
