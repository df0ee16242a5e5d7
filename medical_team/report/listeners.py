"""The listeners of a run that a person follows: the display, alarms, each told once, TensorBoard where it is
installed, and trackers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from ..callbacks import Notify
from ..metrics.alarms import alarms
from ..metrics.cycling import Attacks, attacks_of
from ..records import Game
from ..rl.protocols import Listener
from ..runs.folder import RunFolder
from .display import Display
from .trackers import TrackingListener


class AlarmListener(Listener):
    """Looks at the metrics after each step, and warns of each alarm when it is first up.

    Args:
        warn: told a sentence that names what was seen and what to try.
    """

    def __init__(self, warn: Notify) -> None:
        self._warn = warn
        self._history: list[Mapping[str, float]] = []
        self._attacks: dict[int, Attacks] = {}
        self._told: set[str] = set()

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Recall what the run recorded so far."""
        self._history = [metrics.values for metrics in run.metrics()]
        if run.config.opponents.add_every:
            played = groupby(run.games(), key=lambda game: game.spec.step)
            self._attacks = {step: attacks_of(list(games)) for step, games in played}

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Look at the metrics of one more step."""
        self._history.append(metrics)
        self._attacks[step] = attacks_of(games)
        for name, sentence in alarms(self._history, self._attacks).items():
            if name not in self._told:
                self._warn(sentence)
                self._told.add(name)


class TensorBoardListener(Listener):
    """Writes metrics as scalars. Where TensorBoard is missing, it says so once.

    Args:
        notice: told, once, why nothing is written.
    """

    def __init__(self, notice: Notify) -> None:
        self._notice = notice
        self._writer: Any = None

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Open the event files of ``run``. What an earlier process wrote from ``first_step`` on is hidden."""
        try:
            # Imported here: it brings torch, and may be missing.
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            self._notice(
                "No TensorBoard: it is not installed (pip install tensorboard). The metrics are in metrics.jsonl all "
                "the same."
            )
        else:
            self._writer = SummaryWriter(log_dir=str(run.tensorboard_path), purge_step=first_step)

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Write the metrics of one step."""
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()

    def run_ended(self) -> None:
        """Finish the event files."""
        if self._writer is not None:
            self._writer.close()


def usual_listeners(display: Display) -> list[Listener]:
    """``display``, TensorBoard's event files, the trackers, and the alarms; all of them speak through the display."""
    return [
        display,
        TensorBoardListener(display.notice),
        TrackingListener(display.notice, display.warn),
        AlarmListener(display.warn),
    ]
