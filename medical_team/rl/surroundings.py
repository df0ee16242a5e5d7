"""What stands around the steps of a run: Ctrl-C and SIGTERM, the disk, the evaluation on held-out notes, and the
pool of past selves."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ..callbacks import stop_signals
from ..errors import RunFolderError
from ..evaluation.heldout import evaluate_heldout
from ..files import atomic_folder, delete_folder
from ..game.opponents import pool_after, version_after
from ..game.rollout import Rollout, TrainingRollout
from ..judge.protocol import Judge
from ..metrics.step_metrics import BYTES_PER_GIB
from ..runs.checkpoints import step_of
from ..runs.folder import RunFolder
from .protocols import Learner, StepTimer


@contextmanager
def stop_on_signal(on_request: Callable[[], None]) -> Generator[threading.Event]:
    """Turn the first of the :func:`..callbacks.stop_signals` into a request; a second raises KeyboardInterrupt.

    Outside the main thread, where signals can't be handled, nothing is ever requested.
    """
    request = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if request.is_set():
            raise KeyboardInterrupt
        request.set()
        # In a thread of its own: the signal may have come in the middle of a write to the same stream.
        threading.Thread(target=on_request, daemon=True).start()

    with stop_signals(handle):
        yield request


def disk_metrics(run: RunFolder) -> dict[str, float]:
    """The numbers under ``disk/``, as :mod:`..metrics.step_metrics` names them.

    A number that the system doesn't tell is left out.
    """
    metrics: dict[str, float] = {}
    # A file system that doesn't answer such questions is no reason to stop a run.
    with contextlib.suppress(OSError):
        metrics["disk/free_gib"] = shutil.disk_usage(run.path).free / BYTES_PER_GIB
        latest = run.checkpoints.latest()
        if latest is not None:
            metrics["disk/checkpoint_gib"] = _size(run.checkpoints.path_of(latest)) / BYTES_PER_GIB
    return metrics


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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


class OpponentPool:
    """Keeps the past selves of ``run`` that its next games may ask for; none where the run has no pool.

    Args:
        run: whose selves.
        rollout: lets them speak.
    """

    def __init__(self, run: RunFolder, rollout: TrainingRollout) -> None:
        self._run = run
        self._rollout = rollout
        self._config = run.config.opponents
        self._folder = run.opponents_path

    def resume(self, completed_steps: int) -> None:
        """Go on after ``completed_steps``: later selves are forgotten, since they will come again.

        Raises:
            RunFolderError: a past self is gone.
            PolicyError: its weights can't be read.
        """
        if not self._config.add_every:
            return
        for step in self._steps_on_disk():
            if step > completed_steps:
                delete_folder(self._path_of(step))
        self._let_speak(completed_steps)

    def after_step(self, step: int, learner: Learner) -> None:
        """Let the policy join the pool if it is time, and those go who are thinned out.

        Raises:
            OutputError: it can't be written.
        """
        completed = step + 1
        if not self._config.add_every or completed % self._config.add_every:
            return
        with atomic_folder(self._path_of(completed)) as folder:
            learner.save_policy(folder)
        self._let_speak(completed)
        wanted = {
            member
            for moment in (completed, *self._run.checkpoints.steps())
            for member in pool_after(moment, self._config.add_every, self._config.size)
        }
        for gone in set(self._steps_on_disk()) - wanted:
            delete_folder(self._path_of(gone))

    def _let_speak(self, completed_steps: int) -> None:
        pool = pool_after(completed_steps, self._config.add_every, self._config.size)
        folders = {version_after(member): self._path_of(member) for member in pool if member}
        if missing := [str(folder) for folder in folders.values() if not folder.is_dir()]:
            raise RunFolderError(
                f"the past self {missing[0]} is gone, and the run's next games ask for it: bring it back, or start a "
                "new run."
            )
        self._rollout.set_past_versions(folders)

    def _path_of(self, completed_steps: int) -> Path:
        return self._folder / version_after(completed_steps)

    def _steps_on_disk(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        steps = [step_of(entry.name) for entry in self._folder.iterdir()]
        return sorted(step for step in steps if step is not None)
