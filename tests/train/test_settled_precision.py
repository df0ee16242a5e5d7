"""A run settles the precision of its policy once, and a resumed run keeps it."""

from dataclasses import replace

import pytest

from medical_team.policy import probe
from medical_team.runs.config_file import load_config, load_preset
from medical_team.train import session
from medical_team.train.session import resume_run, start_run


@pytest.mark.parametrize(("speedup", "precision"), [(2.0, "bf16"), (0.5, "fp32")])
def test_the_choice_is_saved_and_resumed_without_a_second_probe(tmp_path, monkeypatch, speedup, precision):
    monkeypatch.setattr(probe, "has_bf16", lambda device: True)
    monkeypatch.setattr("medical_team.policy.devices.has_bf16", lambda device: True)
    monkeypatch.setattr(probe, "SMALLEST_PROBED", 1)
    monkeypatch.setattr(probe, "bf16_speedup", lambda model: speedup)
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
