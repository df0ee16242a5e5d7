"""A run whose model was typed as a relative folder, resumed from elsewhere: never a stranger's repository."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
from hub_server import hub_server

from builders import a_record
from command_lines import games_text, train
from medical_team.cli.main import main
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType
from tiny_models import save_tiny_model

OPTIONS = (
    "--preset", "smoke", "--training.games_per_step", "4", "--rollout.max_revision_tokens", "4",
    "--rollout.max_verdict_tokens", "4", "--checkpoints.save_every", "1", "--policy.model", "models/mine",
    "--data.train", "train.jsonl",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _stranger_s_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub whose repository ``models/mine`` holds another model."""
    save_tiny_model(tmp_path / "hub" / "models" / "mine", seed=99)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    with hub_server(tmp_path / "hub") as url:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield
    assert not (tmp_path / "hub-cache").exists(), "the hub was asked"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where a run is started, with a model and data."""
    folder = tmp_path / "work"
    save_tiny_model(folder / "models" / "mine", seed=1)
    write_jsonl(folder / "train.jsonl", [a_record(kind, id=kind.value) for kind in DataType])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("adaptation", ["lora", "full"])
def test_it_goes_on_from_another_folder_with_its_own_model(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adaptation: str
) -> None:
    options = [*OPTIONS, "--policy.adaptation", adaptation]
    assert train(*options, "--training.steps", 2, "--run", "runs/whole") == 0
    assert train(*options, "--training.steps", 1, "--run", "runs/resumed") == 0

    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train("--resume", work / "runs" / "resumed", "--training.steps", 2) == 0

    assert games_text(work / "runs" / "resumed") == games_text(work / "runs" / "whole")


def test_it_goes_on_where_run_and_model_were_moved_together(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(*OPTIONS, "--training.steps", 1, "--run", "runs/one") == 0
    monkeypatch.chdir(tmp_path)
    moved = work.rename(tmp_path / "moved")

    assert train("--resume", moved / "runs" / "one", "--training.steps", 2) == 0
    checkpoint = moved / "runs" / "one" / "checkpoints" / "step-000002"
    assert main(["export", str(checkpoint), "-o", str(tmp_path / "exported")]) == 0


def test_a_model_that_is_gone_is_one_message_and_no_look_at_the_hub(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*OPTIONS, "--training.steps", 1, "--run", "runs/one") == 0
    shutil.rmtree(work / "models")

    assert train("--resume", "runs/one", "--training.steps", 2) == 2
    told = capsys.readouterr().err
    assert f"began with the model in {work / 'models' / 'mine'}, and there is no such folder now" in told
    assert "config.toml (policy.model)" in told


def test_a_folder_that_has_the_name_of_the_run_s_repository_is_not_taken_for_it(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*OPTIONS, "--policy.model", "tiny-random", "--training.steps", 1, "--run", "runs/one") == 0
    config = work / "runs" / "one" / "config.toml"
    config.write_text(config.read_text(encoding="utf-8").replace('"tiny-random"', '"models/mine"'), encoding="utf-8")

    assert train("--resume", "runs/one", "--training.steps", 2) == 2
    assert "the model models/mine of the Hugging Face hub, and a folder of that name is here" in capsys.readouterr().err


def test_nothing_that_is_given_away_names_a_path_of_the_machine(work: Path, tmp_path: Path) -> None:
    assert train(*OPTIONS, "--training.steps", 1, "--run", "runs/one") == 0
    assert main(["export", "runs/one", "-o", "exported"]) == 0
    assert main(["export", "models/mine", "-o", "copied"]) == 0

    given = [*(work / "runs" / "one" / "final").iterdir(), *(work / "exported").iterdir(), *(work / "copied").iterdir()]
    checkpoint = work / "runs" / "one" / "checkpoints" / "step-000001" / "policy"
    # PEFT has nothing else to find an adapter's base by.
    given += [file for file in checkpoint.iterdir() if file.name != "adapter_config.json"]
    assert [file.name for file in given if str(tmp_path).encode() in file.read_bytes()] == []
    cards = [file.read_text(encoding="utf-8") for file in given if file.name == "README.md"]
    assert len(cards) == 4
    assert all("base_model:" not in card and "mine" in card for card in cards)


def test_an_evaluation_of_a_checkpoint_finds_its_base_from_another_folder(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(*OPTIONS, "--training.steps", 1, "--run", "runs/one") == 0
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = str(work / "train.jsonl")
    command = ["eval", "crossplay", str(work / "runs" / "one"), "--data", data, "--games", "2", "--keep-training-notes"]

    assert main(command) == 0
    played = json.loads(Path("evaluations/crossplay/crossplay.json").read_text(encoding="utf-8"))
    assert played["entrants"] == ["mine", "one/step-000001"]
