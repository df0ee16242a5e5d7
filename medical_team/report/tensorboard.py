"""The metrics for TensorBoard, where it is installed. ``metrics.jsonl`` holds the same numbers in any case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class TensorBoardWriter:
    """Writes metrics as scalars. When TensorBoard is missing or its folder can't be written, it says so once."""

    def __init__(self, folder: Path, first_step: int, notice: Callable[[str], None]) -> None:
        """Open event files in ``folder``.

        Args:
            folder: of the event files.
            first_step: of this process; what an earlier one wrote from there on is hidden.
            notice: told, once, why nothing is written.
        """
        self._notice = notice
        self._writer = self._opened(folder, first_step)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of one step."""
        if self._writer is None:
            return
        try:
            for name, value in metrics.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        except OSError as error:
            self._give_up(f"can't write its event files: {error.strerror or error}")

    def close(self) -> None:
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
