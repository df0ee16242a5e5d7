"""Whole runs whose replies vLLM draws, on a CPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from vllm_cases import save_model

from builders import a_record
from medical_team.config import DataConfig, RunConfig
from medical_team.errors import VllmError
from medical_team.game_config import OpponentConfig
from medical_team.jsonl import write_jsonl
from medical_team.policy.transformers_inside import read_tensors
from medical_team.policy.vllm_engine import VllmEngine
from medical_team.records import DataType
from medical_team.rl.learner import EXACT_BOUND
from medical_team.runs.config_file import load_config, load_preset
from medical_team.runs.folder import RunFolder
from medical_team.train.session import resume_run, start_run
from needs import VLLM

VLLM.module("vllm")

STEPS = 3
MEASURED = ("seconds/", "speed/", "memory/", "disk/")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("training")
    write_jsonl(folder / "train.jsonl", [a_record(kind, id=kind.value) for kind in DataType])
    preset = load_preset("smoke")
    return replace(
        preset,
        data=DataConfig(train=str(folder / "train.jsonl")),
        policy=replace(preset.policy, model=str(save_model(folder / "model"))),
        rollout=replace(preset.rollout, engine="vllm"),
        training=replace(preset.training, steps=STEPS, games_per_step=8, learning_rate=0.003, normalization="batch"),
    )


def values_of(run: Path) -> list[dict[str, float]]:
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {name: value for name, value in json.loads(line)["values"].items() if not name.startswith(MEASURED)}
        for line in lines
    ]


def test_a_run_repeats_and_resumes_bit_for_bit(config: RunConfig, tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    start_run(config, whole)
    start_run(replace(config, training=replace(config.training, steps=STEPS - 1)), resumed)
    resume_run(resumed, steps=STEPS)

    assert (whole / "games.jsonl").read_bytes() == (resumed / "games.jsonl").read_bytes()
    assert values_of(whole) == values_of(resumed)
    one, other = (read_tensors(run / "final" / "model.safetensors") for run in (whole, resumed))
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    # Learnt all the same, from what the engine measurably said.
    assert all(values["policy/gradient_norm"] > 0 for values in values_of(whole))
    assert all(values["rollout/mismatch_mean"] < EXACT_BOUND for values in values_of(whole))
    assert load_config(whole / "config.toml").rollout.engine == "vllm"


def test_an_engine_that_dies_in_mid_run_costs_no_game(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_run(config, tmp_path / "whole")
    draw = VllmEngine.draw
    calls: list[int] = []

    def dying(self: VllmEngine, requests: Sequence[Any], *arguments: Any, **options: Any) -> Any:
        calls.append(len(requests))
        if len(calls) == 7:
            draw(self, requests[:1], *arguments, **options)
            raise VllmError("vLLM failed: the engine core died.")
        return draw(self, requests, *arguments, **options)

    monkeypatch.setattr(VllmEngine, "draw", dying)
    start_run(config, tmp_path / "disturbed")

    assert len(calls) > 8
    assert (tmp_path / "disturbed" / "games.jsonl").read_bytes() == (tmp_path / "whole" / "games.jsonl").read_bytes()
    assert values_of(tmp_path / "disturbed") == values_of(tmp_path / "whole")


def test_a_fixed_opponent_speaks_through_the_same_engine(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    start = VllmEngine.__init__

    def counted(self: VllmEngine, *args: Any, **kwargs: Any) -> None:
        started.append(start(self, *args, **kwargs))

    monkeypatch.setattr(VllmEngine, "__init__", counted)
    opponents = OpponentConfig(share=0.5, fixed=config.policy.model)
    start_run(replace(config, opponents=opponents), tmp_path / "run")

    turns = [turn for game in RunFolder.open(tmp_path / "run").games() for turn in game.turns]
    assert {turn.version for turn in turns} == {"policy", "fixed"}
    assert all(values["rollout/mismatch_mean"] < EXACT_BOUND for values in values_of(tmp_path / "run"))
    assert len(started) == 1
