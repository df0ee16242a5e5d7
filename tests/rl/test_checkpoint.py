"""What is checked before a run goes on from its last checkpoint: nothing of the run has changed when it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from builders import a_game, a_record
from medical_team.config import PolicyConfig, RunConfig
from medical_team.errors import TrainingError
from medical_team.rl.checkpoint import restore_latest
from medical_team.rl.protocols import Learner
from medical_team.runs.checkpoints import CheckpointInfo
from medical_team.runs.folder import RunFolder

NOBODY = cast("Learner", None)
"""A learner that must not be asked."""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with games and a checkpoint after its first step."""
    run = RunFolder.create(tmp_path / "run", RunConfig(policy=PolicyConfig(adaptation="full")), [a_record()])
    run.append_games([a_game()])
    checkpoint = run.checkpoints.path_of(1)
    checkpoint.mkdir(parents=True)
    CheckpointInfo(1, "full").write(checkpoint)
    return run


def test_a_checkpoint_that_was_renamed_is_not_taken_for_a_later_one(run: RunFolder) -> None:
    run.checkpoints.path_of(1).rename(run.checkpoints.path_of(99))

    with pytest.raises(TrainingError, match=r"step-000099 holds the state after 1 steps.* its own name, step-000001"):
        restore_latest(run, NOBODY)


def test_games_that_are_gone_are_told_before_the_run_goes_on(run: RunFolder) -> None:
    (run.path / "games.jsonl").unlink()

    with pytest.raises(TrainingError, match=r"games\.jsonl is gone.*make an empty file"):
        restore_latest(run, NOBODY)
