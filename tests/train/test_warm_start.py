"""The warm start as a run: it saves, resumes to the same weights, and self-play starts from it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from builders import synthetic_records
from medical_team.config import (
    TINY_RANDOM_MODEL,
    CheckpointConfig,
    DataConfig,
    PolicyConfig,
    RolloutConfig,
    RunConfig,
    TrainingConfig,
    WarmStartConfig,
)
from medical_team.errors import UsageError
from medical_team.jsonl import write_jsonl
from medical_team.policy.transformers_inside import read_tensors
from medical_team.rl.experience import warm_start_learning_rate
from medical_team.runs.folder import RunFolder
from medical_team.train.session import resume_run, start_run

STEPS = 4


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    data = tmp_path_factory.mktemp("data") / "train.jsonl"
    write_jsonl(data, synthetic_records(4))
    return RunConfig(
        data=DataConfig(train=str(data)),
        policy=PolicyConfig(model=TINY_RANDOM_MODEL, device="cpu"),
        rollout=RolloutConfig(max_prompt_tokens=4096, max_revision_tokens=2000, max_verdict_tokens=24),
        warmstart=WarmStartConfig(steps=STEPS, demonstrations_per_step=4, learning_rate=0.01),
        training=TrainingConfig(steps=1, games_per_step=2),
        checkpoints=CheckpointConfig(save_every=2),
    )


@pytest.fixture(scope="module")
def warm(config: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("runs") / "warm"
    assert start_run(config, path, kind="warm-start").is_finished
    return RunFolder.open(path)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return read_tensors(folder / "model.safetensors")


def losses_of(run: RunFolder) -> list[float]:
    return [metrics.values["policy/demonstration_loss"] for metrics in run.metrics()]


def test_each_step_is_recorded_and_the_loss_falls(warm: RunFolder) -> None:
    losses = losses_of(warm)
    assert len(losses) == STEPS
    assert losses[-1] < losses[0]
    assert "a warm start" in (warm.final_path / "README.md").read_text()


def test_a_run_that_stopped_half_way_goes_on_to_the_same_weights(warm: RunFolder, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(warm.path, again)
    shutil.rmtree(again / "final")
    shutil.rmtree(again / "checkpoints" / "step-000004")

    assert resume_run(again, kind="warm-start").completed_steps == STEPS

    resumed = RunFolder.open(again)
    for name, weights in weights_of(warm.final_path).items():
        assert weights.equal(weights_of(resumed.final_path)[name]), name
    assert losses_of(resumed) == losses_of(warm)


def test_self_play_starts_from_it_and_measures_kl_against_it(
    warm: RunFolder, config: RunConfig, tmp_path: Path
) -> None:
    path = tmp_path / "play"
    start_run(replace(config, policy=replace(config.policy, model=str(warm.final_path))), path)
    first = next(iter(RunFolder.open(path).metrics())).values
    # The first games are played by the reference policy itself.
    assert first.get("policy/kl", 0.0) == pytest.approx(0.0, abs=1e-4)


def test_fewer_steps_than_are_done_are_refused(warm: RunFolder) -> None:
    with pytest.raises(UsageError, match=f"has done {STEPS} steps, and 1 are asked for"):
        resume_run(warm.path, kind="warm-start", steps=1)
    assert warm.total_steps == STEPS


def test_train_does_not_resume_a_warm_start(warm: RunFolder) -> None:
    with pytest.raises(UsageError, match="medical-team warmstart --resume"):
        resume_run(warm.path)


def test_a_limit_that_is_too_low_for_the_demonstrations_is_told_before_anything_is_written(
    config: RunConfig, tmp_path: Path
) -> None:
    short = replace(config, rollout=replace(config.rollout, max_revision_tokens=12))
    with pytest.raises(UsageError, match=r"rollout\.max_revision_tokens \(12\)"):
        start_run(short, tmp_path / "run", kind="warm-start")
    assert not (tmp_path / "run").exists()


def test_limits_that_are_too_low_for_both_roles_are_told_at_once(config: RunConfig, tmp_path: Path) -> None:
    short = replace(config, rollout=replace(config.rollout, max_revision_tokens=12, max_verdict_tokens=1))
    with pytest.raises(UsageError, match=r"(?s)max_revision_tokens.*max_verdict_tokens"):
        start_run(short, tmp_path / "run", kind="warm-start")


def test_its_kind_is_saved(warm: RunFolder) -> None:
    assert json.loads((warm.path / "run.json").read_text())["kind"] == "warm-start"
    assert warm.total_steps == STEPS


@pytest.mark.parametrize("steps", [1, 2, 19, 20, 100])
def test_the_learning_rate_rises_then_falls_to_nothing(config: RunConfig, steps: int) -> None:
    config = replace(config, warmstart=replace(config.warmstart, steps=steps, learning_rate=1.0))
    rates = [warm_start_learning_rate(config, step) for step in range(steps)]
    highest = rates.index(max(rates))
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:highest] == sorted(rates[:highest])
    assert rates[highest:] == sorted(rates[highest:], reverse=True)
