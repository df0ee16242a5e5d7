"""The checkpoints of a run: which are complete, which is the latest, which is the best, which go.

A checkpoint is a folder ``step-000010``: the state after 10 completed steps. It is complete when it holds
``checkpoint.json``; since ``train`` writes the folder under another name and renames it, it is complete or absent.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ..errors import DataError, OutputError
from ..files import atomic_text
from ..jsonl import from_line, validation_problems
from ..records import Closed

MARKER = "checkpoint.json"

_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class BestCheckpoint(Closed):
    """Which checkpoint did best, and by what."""

    step: int
    metric: str
    value: float


class Checkpoints:
    """The folder ``checkpoints`` of a run, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, step: int) -> Path:
        """Where the checkpoint after ``step`` completed steps lies."""
        return self.folder / f"step-{step:06d}"

    def steps(self) -> list[int]:
        """The completed steps of every complete checkpoint, ascending."""
        if not self.folder.is_dir():
            return []
        matches = [_NAME.fullmatch(entry.name) for entry in self.folder.iterdir() if (entry / MARKER).is_file()]
        return sorted(int(match[1]) for match in matches if match)

    def latest(self) -> int | None:
        """The completed steps of the last checkpoint; None where there is none."""
        return max(self.steps(), default=None)

    def best(self) -> BestCheckpoint | None:
        """The best checkpoint recorded so far.

        Raises:
            DataError: ``best.json`` is damaged.
        """
        path = self._best_path
        if not path.exists():
            return None
        try:
            return from_line(path.read_bytes(), BestCheckpoint)
        except ValidationError as error:
            raise DataError(f"{path} is damaged:", validation_problems(error)) from error

    def record_best(self, step: int, metric: str, value: float) -> bool:
        """Record a checkpoint whose ``metric`` is higher than the best so far. Returns whether it was.

        A metric of another name than the recorded one starts anew.

        Raises:
            OutputError: ``best.json`` can't be written.
        """
        best = self.best()
        if best is not None and best.metric == metric and best.value >= value:
            return False
        with atomic_text(self._best_path) as file:
            record = dataclasses.asdict(BestCheckpoint(step, metric, value))
            file.write(json.dumps(record, allow_nan=False) + "\n")
        return True

    def prune(self, keep_last: int, best: int | None = None) -> list[int]:
        """Delete all but the ``keep_last`` latest checkpoints and the one of step ``best``. Returns what was deleted.

        Raises:
            OutputError: a checkpoint can't be deleted.
        """
        steps = self.steps()
        deleted = [step for step in steps[: max(0, len(steps) - keep_last)] if step != best]
        for step in deleted:
            self._delete(step)
        return deleted

    @property
    def _best_path(self) -> Path:
        return self.folder / "best.json"

    def _delete(self, step: int) -> None:
        path = self.path_of(step)
        # Renamed first: a process killed while it deletes must not leave half a checkpoint that looks whole.
        doomed = path.with_name(f".{path.name}.deleted")
        try:
            if doomed.exists():
                shutil.rmtree(doomed)
            path.rename(doomed)
            shutil.rmtree(doomed)
        except OSError as error:
            reason = error.strerror or str(error)
            raise OutputError(f"can't delete the old checkpoint {path}: {reason}. Check its permissions.") from error
