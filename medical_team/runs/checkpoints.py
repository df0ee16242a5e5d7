"""The checkpoints of a run: what one is, which are complete, which is the latest, which is the best, which go.

step-000010/                 the state after 10 completed steps
    checkpoint.json          what it is; its presence marks the folder as complete
    policy/                  a Hugging Face folder: weights (a LoRA adapter, or full), tokenizer, model card
    optimizer.safetensors    AdamW's state; an engine's checkpoint has none

Where each role has a policy of its own, these are the assessor's, and the attacker's are policy/attacker/ and
attacker_optimizer.safetensors. The folder is written under another name and renamed, so it is complete or absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ..errors import DataError, TrainingError
from ..files import atomic_text, delete_folder
from ..jsonl import from_line, to_line, validation_problems
from ..records import Closed

MARKER = "checkpoint.json"
POLICY_FOLDER = "policy"
BEST_FILE = "best.json"
"""Beside the checkpoints: which of them is the best one."""
NAME_PATTERN = r"step-\d{6,}"
"""What the name of a checkpoint's folder, or of a past self's, looks like."""

_OPTIMIZER_FILE = "optimizer.safetensors"


@dataclass(frozen=True)
class CheckpointInfo(Closed):
    """What a checkpoint says of itself."""

    completed_steps: int
    adaptation: str
    roles: str = "shared"
    """``policy.roles`` as it was."""
    engine: str = "local"
    """What trained it."""
    format: Literal[1] = 1

    def write(self, folder: Path) -> None:
        """Mark ``folder`` as complete."""
        (folder / MARKER).write_text(to_line(self) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> CheckpointInfo:
        """What the checkpoint ``folder`` says.

        Raises:
            TrainingError: it is damaged, or another version wrote it.
        """
        path = folder / MARKER
        try:
            return from_line(path.read_bytes(), cls)
        except (OSError, ValidationError) as error:
            problem = "; ".join(validation_problems(error)) if isinstance(error, ValidationError) else error.strerror
            raise TrainingError(
                f"{path} is damaged or of another version: {problem}. Bring it back, or delete the folder to go on "
                "from another checkpoint."
            ) from error


def optimizer_file(part: str = "") -> str:
    """The name of the optimizer's state; ``part`` is the folder of a role with a policy of its own, or empty."""
    return f"{part}_{_OPTIMIZER_FILE}" if part else _OPTIMIZER_FILE


def name_of(step: int) -> str:
    """The name of the folder with the state after ``step`` completed steps."""
    return f"step-{step:06d}"


def step_of(name: str) -> int | None:
    """The completed steps that the name of a folder tells; None where it is no checkpoint's."""
    return int(name.partition("-")[2]) if re.fullmatch(NAME_PATTERN, name) else None


def is_checkpoint(folder: Path) -> bool:
    """Whether ``folder`` is a complete checkpoint."""
    return (folder / MARKER).is_file()


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
        return self.folder / name_of(step)

    def steps(self) -> list[int]:
        """The completed steps of every complete checkpoint, ascending."""
        if not self.folder.is_dir():
            return []
        steps = [step_of(entry.name) for entry in self.folder.iterdir() if is_checkpoint(entry)]
        return sorted(step for step in steps if step is not None)

    def incomplete_after(self, step: int) -> list[Path]:
        """The folders of checkpoints later than ``step`` that are not whole, ascending."""
        if not self.folder.is_dir():
            return []
        found = {step_of(entry.name): entry for entry in self.folder.iterdir() if not is_checkpoint(entry)}
        later = {steps: entry for steps, entry in found.items() if steps is not None and steps > step}
        return [entry for _, entry in sorted(later.items())]

    def latest(self) -> int | None:
        """The completed steps of the last checkpoint; None where there is none."""
        return max(self.steps(), default=None)

    def best(self) -> BestCheckpoint | None:
        """The best checkpoint recorded so far.

        Raises:
            DataError: ``best.json`` is damaged or can't be read.
        """
        path = self._best_path
        if not path.exists():
            return None
        try:
            return from_line(path.read_bytes(), BestCheckpoint)
        except OSError as error:
            raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error
        except ValidationError as error:
            raise DataError(f"{path} is damaged:", validation_problems(error)) from error

    def record_best(self, step: int, metric: str, value: float) -> bool:
        """Record a checkpoint whose ``metric`` is at least the best so far. Returns whether it was.

        Of equals the latest counts: where held-out notes see no difference, more was learnt all the same.

        A metric of another name than the recorded one starts anew.

        Raises:
            OutputError: ``best.json`` can't be written.
        """
        best = self.best()
        if best is not None and best.metric == metric and best.value > value:
            return False
        with atomic_text(self._best_path) as file:
            file.write(to_line(BestCheckpoint(step, metric, value)) + "\n")
        return True

    def prune(self, keep_last: int, best: int | None = None) -> list[int]:
        """Delete all but the ``keep_last`` latest checkpoints and the one of step ``best``. Returns what was deleted.

        Raises:
            OutputError: a checkpoint can't be deleted.
        """
        steps = self.steps()
        deleted = [step for step in steps[: max(0, len(steps) - keep_last)] if step != best]
        for step in deleted:
            delete_folder(self.path_of(step))
        return deleted

    @property
    def _best_path(self) -> Path:
        return self.folder / BEST_FILE
