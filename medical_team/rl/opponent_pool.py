"""The pool of past selves of a run: on its disk, and in whoever draws replies.

opponents/step-000010/   the policy after 10 completed steps, as in a checkpoint

A self is on the disk before the first game that it could play, so a resumed run finds everybody whom its next steps ask
for: what any checkpoint that is kept would need stays.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ..errors import RunFolderError
from ..files import atomic_folder
from ..game.opponents import pool_after, version_after
from ..game.rollout import TrainingRollout
from ..runs.folder import RunFolder
from .protocols import Learner

_NAME = re.compile(r"step-(\d{6,})")


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
                shutil.rmtree(self._path_of(step))
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
            shutil.rmtree(self._path_of(gone))

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
        return sorted(int(match[1]) for entry in self._folder.iterdir() if (match := _NAME.fullmatch(entry.name)))
