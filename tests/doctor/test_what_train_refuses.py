"""What `train` refuses before its first game, `doctor` finds before, and tells in the same words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_record
from doctor_cases import a_subject, look
from medical_team.config import JudgeConfig, RunConfig
from medical_team.doctor import models
from medical_team.doctor.findings import Finding, Status
from medical_team.doctor.probe import answer
from medical_team.doctor.subject import Ended, TorchFound
from medical_team.errors import MedicalTeamError
from medical_team.game_config import OpponentConfig
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType, TrainingRecord
from medical_team.runs.config_file import load_preset
from medical_team.train.session import start_run
from tiny_models import save_tiny_model

Change = Callable[[RunConfig, Path], RunConfig]


def sections(**changed: Mapping[str, Any]) -> Change:
    """The options of ``changed`` in their sections."""

    def change(config: RunConfig, folder: Path) -> RunConfig:
        return replace(config, **{name: replace(getattr(config, name), **values) for name, values in changed.items()})

    return change


def a_pair_of_models(config: RunConfig, folder: Path) -> RunConfig:
    save_tiny_model(folder / "pair")
    save_tiny_model(folder / "pair" / "attacker")
    return sections(policy={"model": str(folder / "pair"), "roles": "separate", "adaptation": "lora"})(config, folder)


def a_cut_opponent(config: RunConfig, folder: Path) -> RunConfig:
    save_tiny_model(folder / "opponent")
    (folder / "opponent" / "model.safetensors").write_bytes(b"{}")
    return replace(config, opponents=OpponentConfig(fixed=str(folder / "opponent"), share=0.5))


def written(name: str, records: Sequence[TrainingRecord]) -> Change:
    """Data, ``train`` or ``heldout``, that hold ``records``."""

    def change(config: RunConfig, folder: Path) -> RunConfig:
        write_jsonl(folder / f"{name}.jsonl", records)
        return sections(data={name: str(folder / f"{name}.jsonl")})(config, folder)

    return change


RECORDS = [a_record(kind, id=kind.value) for kind in DataType]
"""Of one near-duplicate group."""

REFUSED: dict[str, tuple[Change, str]] = {
    "contradiction": (sections(opponents={"url": "http://x", "fixed": "demo"}), "engine_options"),
    "out of bounds": (sections(training={"learning_rate": -1.0}), "engine_options"),
    "no data": (sections(data={"train": "/nowhere/train.jsonl"}), "data"),
    "no such type": (sections(game={"error_types": ("plague",)}), "data_count"),
    "no held-out data": (sections(data={"heldout": "/nowhere/heldout.jsonl"}), "data_heldout"),
    "nothing to play": (
        lambda config, folder: written("train", [record for record in RECORDS if not record.data_type.is_adversarial])(
            sections(game={"no_defender_turn": True}, opponents={"add_every": 0})(config, folder), folder
        ),
        "data_mix",
    ),
    "pair of models": (a_pair_of_models, "policy_probe"),
    "no GPU": (sections(policy={"device": "cuda"}), "policy_probe"),
    "long prompts": (sections(rollout={"max_prompt_tokens": 16}), "policy_probe"),
    "long demonstrations": (
        sections(training={"demonstration_coefficient": 0.5}, rollout={"max_revision_tokens": 2}),
        "policy_probe",
    ),
    "no vLLM": (sections(rollout={"engine": "vllm"}), "rollout_engine"),
    "precision of vLLM": (sections(rollout={"precision": "bf16"}), "rollout_engine"),
    "no opponent": (sections(opponents={"fixed": "/nowhere", "share": 0.5}), "opponent"),
    "no opponent's name": (sections(opponents={"fixed": " ", "share": 0.5}), "opponent"),
    "baseline as opponent": (sections(opponents={"fixed": "all-safe", "share": 0.5}), "opponent"),
    "cut opponent": (a_cut_opponent, "opponent"),
    "judge without vLLM": (
        lambda config, folder: replace(config, judge=JudgeConfig(kind="model", model="demo", engine="vllm")),
        "judge_labels",
    ),
    "judge without a GPU": (
        lambda config, folder: replace(config, judge=JudgeConfig(kind="model", model="demo", device="cuda")),
        "judge_labels",
    ),
}


@pytest.fixture(autouse=True)
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither vLLM nor a GPU, and a probe that answers from this process: what it calls is the question."""
    monkeypatch.setattr("medical_team.policy.vllm_room.find_spec", find_nothing)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(models, "run_command", answer_here)


def find_nothing(name: str) -> None:
    """As where no module of that name is installed."""


def answer_here(command: Sequence[str | Path], seconds: float, *, environment: Mapping[str, str]) -> Ended:
    return Ended(0, json.dumps(answer(*map(str, command[-2:]))), "")


def seen(check: str, config: RunConfig, run: Path | None = None) -> Finding:
    subject = a_subject(config, run=run)
    subject.torch = TorchFound("2.13.0+cpu", None, (), "")
    return look(check, subject)


def smoke() -> RunConfig:
    config = load_preset("smoke")
    return replace(config, data=replace(config.data, train="demo", heldout=None))


def refusal_of(config: RunConfig, path: Path) -> str:
    with pytest.raises(MedicalTeamError) as refused:
        start_run(config, path)
    return str(refused.value)


def told(refusal: str) -> str:
    """What of a refusal says what is wrong, without the headline over a list."""
    first, _, rest = refusal.partition(":\n")
    return " ".join((rest or first).replace("  - ", "").split())


def found_by(finding: Finding) -> str:
    return " ".join(finding.found.replace("  - ", "").split())


@pytest.mark.parametrize("name", REFUSED)
def test_what_train_refuses_is_found_before(tmp_path: Path, name: str) -> None:
    change, check = REFUSED[name]
    config = change(smoke(), tmp_path)

    refusal = refusal_of(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    finding = seen(check, config)

    assert finding.status is Status.FAILED
    assert told(refusal) in found_by(finding)
    assert finding.mend


def test_what_train_takes_fails_nowhere(tmp_path: Path) -> None:
    config = sections(opponents={"fixed": "demo", "share": 0.5})(smoke(), tmp_path)
    for check in ("engine_options", "rollout_engine", "opponent", "policy_probe"):
        assert seen(check, config).status is Status.OK, check


@pytest.mark.parametrize(
    "place",
    ["a file", "a file/run", "a run", "a run/data/x", "others", "/proc/run", "/proc/more/run", "x" * 300, "dangling"],
)
def test_a_place_that_train_refuses_for_a_run_is_found_before(tmp_path: Path, place: str) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "a run" / "data").mkdir(parents=True)
    (tmp_path / "a run" / "run.json").touch()
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "thesis.docx").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "a file" / "run")
    path = tmp_path / place
    config = sections(training={"steps": 1, "games_per_step": 2})(smoke(), tmp_path)

    refusal = refusal_of(config, path)
    finding = seen("run_folder", config, path)

    assert (finding.status, finding.found) == (Status.FAILED, refusal)
