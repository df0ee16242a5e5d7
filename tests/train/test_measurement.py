"""A step that is measured before there is a run, with the real engine and the real learner."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from medical_team.config import DataConfig, RunConfig
from medical_team.data.load import load_records
from medical_team.errors import MedicalTeamError
from medical_team.jsonl import write_jsonl
from medical_team.planning.plan import Measurement, Unknown
from medical_team.planning.planner import plan_json, plan_of, plan_text
from medical_team.runs.config_file import load_preset
from medical_team.train.measurement import measure_step
from medical_team.train.session import start_run

SMOKE = load_preset("smoke")


def with_model(model: str) -> RunConfig:
    return dataclasses.replace(SMOKE, policy=dataclasses.replace(SMOKE.policy, model=model))


@pytest.fixture(scope="module")
def measured() -> Measurement:
    found = measure_step(SMOKE)
    assert isinstance(found, Measurement)
    return found


def test_a_step_is_played_and_learnt_from(measured: Measurement) -> None:
    assert measured.games == measured.games_per_step == SMOKE.training.games_per_step
    assert measured.peak_bytes is not None
    # Two adversarial notes and two others at least have a turn, of one token and of no more than allowed.
    assert 4 <= measured.generated_tokens <= 8 * SMOKE.rollout.max_revision_tokens
    assert measured.learnt_tokens > measured.generated_tokens
    assert measured.rollout_seconds > 0
    assert measured.training_seconds > 0


def test_a_plan_tells_what_was_measured_and_reckons_its_time_with_it(measured: Measurement) -> None:
    plan = dataclasses.replace(plan_of(SMOKE), measured=measured)

    assert plan.rollout_seconds == pytest.approx(
        plan.workload.expected_generated_tokens * measured.rollout_seconds / measured.generated_tokens
    )
    assert "s for a step of 4 such games" in plan_text(plan)
    assert "at the speeds that were measured" in plan_text(plan)
    assert f'"rollout_seconds": {plan.rollout_seconds}' in plan_json(plan)


def test_a_model_that_is_not_here_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    found = measure_step(with_model("owner/unheard-of"))

    assert isinstance(found, Unknown)
    assert "owner/unheard-of is not on this machine" in found.reason


@pytest.fixture
def leaking(tmp_path: Path) -> DataConfig:
    """Data whose held-out records are trained on too."""
    path = tmp_path / "train.jsonl"
    write_jsonl(path, load_records(SMOKE.data.train)[:8])
    return DataConfig(train=str(path), heldout=str(path))


def test_what_a_run_would_refuse_is_the_reason(leaking: DataConfig, tmp_path: Path) -> None:
    refused = {
        "max_prompt_tokens": dataclasses.replace(
            SMOKE, rollout=dataclasses.replace(SMOKE.rollout, max_prompt_tokens=100)
        ),
        "near-duplicate groups": dataclasses.replace(SMOKE, data=leaking),
        "rollout.max_revision_tokens": dataclasses.replace(
            SMOKE,
            training=dataclasses.replace(SMOKE.training, demonstration_coefficient=0.1),
            rollout=dataclasses.replace(SMOKE.rollout, max_revision_tokens=8),
        ),
    }
    for words, config in refused.items():
        found = measure_step(config)
        with pytest.raises(MedicalTeamError, match=words) as raised:
            start_run(config, tmp_path / "run")

        assert isinstance(found, Unknown)
        assert found.reason == " ".join(str(raised.value).split())
    assert not (tmp_path / "run").exists()


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    measure_step(SMOKE)

    assert list(tmp_path.iterdir()) == []
