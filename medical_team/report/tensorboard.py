"""The metrics for TensorBoard, where it is installed. ``metrics.jsonl`` holds the same numbers in any case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..callbacks import Notify
from ..records import Game
from ..rl.protocols import Listener
from ..runs.folder import RunFolder


class TensorBoardListener(Listener):
    """Writes metrics as scalars. When TensorBoard is missing or its folder can't be written, it says so once.

    Args:
        notice: told, once, why nothing is written.
    """

    def __init__(self, notice: Notify) -> None:
        self._notice = notice
        self._writer: Any = None

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Open the event files of ``run``. What an earlier process wrote from ``first_step`` on is hidden."""
        self._writer = self._opened(run.tensorboard_path, first_step)

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Write the metrics of one step."""
        if self._writer is None:
            return
        try:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        except OSError as error:
            self._give_up(f"can't write its event files: {error.strerror or error}")

    def run_ended(self) -> None:
        """Finish the event files."""
        if self._writer is None:
            return
        try:
            self._writer.close()
        except OSError as error:
            self._give_up(f"can't write its event files: {error.strerror or error}")

    def _opened(self, folder: Path, first_step: int) -> Any:
        try:
            # Imported here: it brings torch, and may be missing.
            from torch.utils.tensorboard.writer import SummaryWriter

            return SummaryWriter(log_dir=str(folder), purge_step=first_step)
        except ImportError:
            self._give_up("is not installed (pip install tensorboard)")
        except OSError as error:
            self._give_up(f"can't write to {folder}: {error.strerror or error}")
        return None

    def _give_up(self, reason: str) -> None:
        self._writer = None
        self._notice(f"No TensorBoard: it {reason}. The metrics are in metrics.jsonl all the same.")
