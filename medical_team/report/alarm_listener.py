"""Alarms while a run trains: each is told once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..callbacks import Notify
from ..metrics.alarms import alarms
from ..records import Game
from ..rl.protocols import Listener
from ..runs.folder import RunFolder


class AlarmListener(Listener):
    """Looks at the metrics after each step, and warns of each alarm when it is first up.

    Args:
        warn: told a sentence that names what was seen and what to try.
    """

    def __init__(self, warn: Notify) -> None:
        self._warn = warn
        self._history: list[Mapping[str, float]] = []
        self._told: set[str] = set()

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Recall what the run recorded so far."""
        self._history = [metrics.values for metrics in run.metrics()]

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Look at the metrics of one more step."""
        self._history.append(metrics)
        for name, sentence in alarms(self._history).items():
            if name not in self._told:
                self._warn(sentence)
                self._told.add(name)
