"""What stands around a step: held-out notes, when they are read and which checkpoint is the best by them; and the
disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders import a_record
from learning import LORA
from medec_builders import ScriptedRollout
from medical_team.config import CheckpointConfig, RunConfig, TrainingConfig
from medical_team.game.rollout import RolloutRequest
from medical_team.judging import reference_judge
from medical_team.metrics.alarms import alarms
from medical_team.policy.policy import Policy
from medical_team.records import DataType
from medical_team.rl.learner import ReinforceLearner
from medical_team.rl.loop import save_when_due
from medical_team.rl.protocols import StepTimer
from medical_team.rl.surroundings import HeldoutEvaluation, disk_metrics
from medical_team.runs.folder import RunFolder
from report_runs import a_run
from stand_ins import always

CONFIG = RunConfig(
    policy=LORA,
    training=TrainingConfig(steps=10),
    checkpoints=CheckpointConfig(save_every=100, keep_last=1, evaluate_every=4, evaluation_games=2),
)
HELDOUT = [a_record(kind, id=kind.value) for kind in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CONFIG, [a_record()], HELDOUT)


def knows_all(request: RolloutRequest) -> str:
    return "Harmful" if "5000" in request.prompt else "Safe"


def an_evaluation(run: RunFolder, rule: Callable[[RolloutRequest], str] = knows_all) -> HeldoutEvaluation:
    return HeldoutEvaluation(run, ScriptedRollout(rule), reference_judge(), StepTimer())


def test_held_out_notes_are_read_before_the_first_step_every_n_steps_and_after_the_last(run: RunFolder) -> None:
    evaluation = an_evaluation(run)

    evaluation.before_training()
    due = [step for step in range(10) if evaluation.when_due(step)]

    assert due == [3, 7, 9]
    assert [metrics.step for metrics in run.metrics()] == [-1]
    assert sorted({game.spec.step for game in run.heldout_games()}) == [-1, 3, 7, 9]


def test_a_run_without_held_out_notes_has_no_evaluation(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", replace(CONFIG), [a_record()])

    an_evaluation(run).before_training()

    assert an_evaluation(run).when_due(3) == {}
    assert list(run.metrics()) == []


def test_the_best_checkpoint_is_that_of_the_highest_held_out_balanced_accuracy_and_is_kept(run: RunFolder) -> None:
    policy = Policy(CONFIG.policy, seed=1)
    learner = ReinforceLearner(policy, CONFIG)
    replies = {3: "Harmful", 7: "the truth", 9: "Hm."}
    for step, reply in replies.items():
        evaluation = an_evaluation(run) if reply == "the truth" else an_evaluation(run, always(reply))
        save_when_due(run, learner, step, evaluation.when_due(step), is_stopping=False)

    best = run.checkpoints.best()
    assert best is not None
    assert (best.step, best.metric, best.value) == (8, "heldout/balanced_accuracy", 1.0)
    assert run.checkpoints.steps() == [8, 10]


def test_the_disk_is_told_with_what_the_latest_checkpoint_takes(tmp_path: Path) -> None:
    run = RunFolder.open(a_run(tmp_path / "run", []))
    before = disk_metrics(run)
    checkpoint = run.checkpoints.path_of(2)
    checkpoint.mkdir(parents=True)
    (checkpoint / "checkpoint.json").write_text("{}")
    (checkpoint / "weights").write_bytes(bytes(2**20))

    after = disk_metrics(run)

    assert set(before) == {"disk/free_gib"}
    assert abs(before["disk/free_gib"] - shutil.disk_usage(tmp_path).free / 2**30) < 1
    assert round(after["disk/checkpoint_gib"] * 2**10, 3) == 1.0


def test_a_full_disk_is_an_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder.open(a_run(tmp_path / "run", []))
    monkeypatch.setattr(shutil, "disk_usage", always(SimpleNamespace(total=100, used=99, free=1)))

    assert "disk" in alarms([disk_metrics(run)])


def test_a_file_system_that_tells_nothing_stops_no_run(tmp_path: Path) -> None:
    run = RunFolder.open(a_run(tmp_path / "run", []))
    shutil.rmtree(run.path)

    assert disk_metrics(run) == {}
