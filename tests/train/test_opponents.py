"""Real models against past selves and a fixed opponent: the same games in one sitting and in two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from builders import a_record
from medical_team.config import RunConfig
from medical_team.errors import UsageError
from medical_team.game_config import OpponentConfig
from medical_team.jsonl import write_jsonl
from medical_team.policy.transformers_inside import read_tensors
from medical_team.records import DataType
from medical_team.runs.config_file import load_preset
from medical_team.runs.folder import RunFolder
from medical_team.train.session import resume_run, start_run

STEPS = 3


@pytest.fixture
def config(tmp_path: Path, talking_model: Path) -> RunConfig:
    records = [a_record(kind, id=f"{kind.value}-{number}") for kind in DataType for number in range(3)]
    write_jsonl(tmp_path / "train.jsonl", records)
    smoke = load_preset("smoke")
    return replace(
        smoke,
        data=replace(smoke.data, train=str(tmp_path / "train.jsonl"), heldout=None),
        policy=replace(smoke.policy, model=str(talking_model), device="cpu"),
        rollout=replace(smoke.rollout, max_verdict_tokens=10),
        training=replace(smoke.training, steps=STEPS, games_per_step=8, learning_rate=3e-3, normalization="role"),
        opponents=OpponentConfig(add_every=1, size=2, share=0.8, draw="pfsp", fixed=str(talking_model)),
    )


@pytest.mark.parametrize("fixed", ["gone/gone", "run"])
def test_an_opponent_that_cannot_play_leaves_no_run_behind(tmp_path: Path, config: RunConfig, fixed: str) -> None:
    path = tmp_path / "run"
    opponent = str(path) if fixed == "run" else fixed
    with pytest.raises(UsageError, match=r"opponents\.fixed is '"):
        start_run(replace(config, opponents=OpponentConfig(fixed=opponent)), path)
    assert not path.exists()


@pytest.mark.parametrize("roles", ["shared", "separate"])
@pytest.mark.parametrize("adaptation", ["lora", "full"])
def test_a_run_with_opponents_is_resumed_to_the_same_numbers(
    tmp_path: Path, config: RunConfig, adaptation: str, roles: str
) -> None:
    config = replace(config, policy=replace(config.policy, adaptation=adaptation, roles=roles))
    whole, other = tmp_path / "whole", tmp_path / "other"
    start_run(config, whole)
    start_run(replace(config, training=replace(config.training, steps=2)), other)

    resume_run(other, steps=STEPS)

    assert list(RunFolder.open(other).games()) == list(RunFolder.open(whole).games())
    folders = ["final", "final/attacker"] if roles == "separate" else ["final"]
    for folder in folders:
        ours, theirs = (read_tensors(run / folder / "model.safetensors") for run in (whole, other))
        assert all(torch.equal(weights, theirs[name]) for name, weights in ours.items()), folder
    assert (whole / "final" / "attacker").is_dir() is (roles == "separate")
    versions = {turn.version for game in RunFolder.open(whole).games() for turn in game.turns}
    assert {"policy", "fixed"} <= versions
    assert any(version.startswith("step-") for version in versions)
