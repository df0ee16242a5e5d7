"""Evaluation whose replies the real vLLM draws, on a CPU: the same games as with the built-in engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import LlamaForCausalLM
from vllm_cases import CONFIG, requests_for, save_model

from builders import a_record
from medical_team.chat_template import day_of
from medical_team.cli.main import main
from medical_team.game.rollout import Reply, Rollout
from medical_team.jsonl import write_jsonl
from medical_team.policy.rollout_engines import local_rollout
from medical_team.policy.transformers_inside import from_pretrained
from medical_team.policy.vllm_rollout import VllmRollout
from medical_team.records import DataType
from needs import VLLM

vllm = VLLM.module("vllm")

DAY = day_of("2026-03-05")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two models of one shape."""
    folder = tmp_path_factory.mktemp("models")
    one, other = save_model(folder / "one"), save_model(folder / "other")
    model: LlamaForCausalLM = from_pretrained(LlamaForCausalLM, other)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(-1)
    cast("Any", model).save_pretrained(other)
    return one, other


def texts_of(rollout: Rollout) -> list[str]:
    replies = rollout.generate(requests_for(3, is_greedy=True))
    return [reply.text for reply in replies if isinstance(reply, Reply)]


def test_models_take_turns_in_one_engine_and_speak_as_with_the_built_in_one(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    start = vllm.LLM

    def counted(**options: Any) -> Any:
        started.append(1)
        return start(**options)

    monkeypatch.setattr("vllm.LLM", counted)
    config = replace(CONFIG, engine="auto", precision="auto")
    ours = [local_rollout(str(model), config, day=DAY, engine="transformers") for model in models]
    told: list[str] = []
    theirs = [local_rollout(str(model), config, day=DAY, engine="vllm", notify=told.append) for model in models]
    expected = [texts_of(rollout) for rollout in ours]

    engines = [rollout for rollout in theirs if isinstance(rollout, VllmRollout)]
    assert len(engines) == len(models)
    assert [texts_of(rollout) for rollout in theirs] == expected
    assert [texts_of(rollout) for rollout in theirs] == expected
    assert expected[0] != expected[1]
    assert len(started) <= 1
    assert sum("drawn by vllm" in line for line in told) == 2
    engines[1].close()


def test_eval_games_by_the_command(
    models: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "heldout.jsonl", [a_record(kind, id=kind.value) for kind in DataType])
    arguments = ["eval", "games", str(models[0]), "--data", str(tmp_path / "heldout.jsonl"), "--games", "4"]
    for engine in ("vllm", "transformers"):
        status = main([*arguments, "--engine", engine, "-o", str(tmp_path / engine), "--judge", "reference"])
        assert status == 0, capsys.readouterr().err
    assert "drawn by vllm" in capsys.readouterr().err

    assert list((tmp_path / "vllm").rglob("games.jsonl"))
