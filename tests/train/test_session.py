"""How a run starts: its policy is probed before anything is written, and its precision is settled once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_architectures import save_tiny_architecture

from builders import synthetic_records
from medical_team.config import DataConfig, PolicyConfig, RunConfig
from medical_team.errors import PolicyError
from medical_team.jsonl import write_jsonl
from medical_team.policy import probe
from medical_team.runs.config_file import load_config, load_preset
from medical_team.runs.folder import RunKind
from medical_team.train import session
from medical_team.train.session import resume_run, start_run
from stand_ins import always


@pytest.mark.parametrize("kind", ["self-play", "warm-start"])
def test_a_model_that_can_t_be_trained_ends_the_run_before_it_begins(kind: RunKind, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", synthetic_records(1))
    save_tiny_architecture(tmp_path / "model", "gemma3n_text")
    config = RunConfig(
        data=DataConfig(train=str(tmp_path / "train.jsonl")),
        policy=PolicyConfig(model=str(tmp_path / "model"), device="cpu"),
    )

    with pytest.raises(PolicyError, match=r"Gemma3nForCausalLM.*can't be trained here"):
        start_run(config, tmp_path / "run", kind=kind)

    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("has_units", "precision"), [(True, "bf16"), (False, "auto")])
def test_the_choice_is_saved_and_resumed_without_a_second_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_units: bool, precision: str
) -> None:
    monkeypatch.setattr(probe, "has_matrix_units", always(has_units))
    monkeypatch.setattr("medical_team.policy.devices.has_bf16", always(True))
    monkeypatch.setattr(probe, "SMALLEST_IN_BF16", 1)
    preset = load_preset("smoke")
    config = replace(
        preset,
        policy=replace(preset.policy, device="cpu", precision="auto"),
        training=replace(preset.training, steps=1, games_per_step=4),
    )
    start_run(config, tmp_path / "run")
    assert load_config(tmp_path / "run" / "config.toml").policy.precision == precision

    monkeypatch.setattr(session, "choose_precision", pytest.fail)
    resume_run(tmp_path / "run", steps=2)
    assert load_config(tmp_path / "run" / "config.toml").policy.precision == precision
