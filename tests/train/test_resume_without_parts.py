"""Runs that are resumed though parts of them are gone, or something else stands in their place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builders import a_record
from medical_team.cli.main import main
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType
from medical_team.runs.folder import RunFolder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_jsonl(folder / "train.jsonl", [a_record(kind, id=kind.value) for kind in DataType])
    options = ["--training.steps", "1", "--rollout.max_revision_tokens", "4", "--rollout.max_verdict_tokens", "4"]
    words = ["train", "--preset", "smoke", "--data.train", str(folder / "train.jsonl"), *options]
    assert main([*words, "--run", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def test_a_run_without_checkpoints_says_that_it_starts_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run / "checkpoints")
    shutil.rmtree(run / "final")
    games = (run / "games.jsonl").read_bytes()

    assert main(["train", "--resume", str(run)]) == 0

    assert f"warning: {run} has no checkpoint: the run starts again from its first step" in capsys.readouterr().err
    assert (run / "abandoned" / "games.jsonl").read_bytes() == games
    assert (run / "games.jsonl").read_bytes() == games
    assert RunFolder.open(run).checkpoints.steps() == [1]


def test_one_with_a_checkpoint_says_nothing_of_the_kind(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", str(run), "--training.steps", "2"]) == 0

    assert "no checkpoint" not in capsys.readouterr().err


def test_a_model_whose_checkpoints_were_deleted_is_not_trained_over(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run / "checkpoints")
    before = files_of(run)

    assert main(["train", "--resume", str(run), "--training.steps", "5"]) == 2

    said = capsys.readouterr().err
    assert "has a trained model and no checkpoint" in said
    assert f"--policy.model {run / 'final'}" in said
    assert files_of(run) == before


@pytest.mark.parametrize("name", ["final", "checkpoints", "opponents", "tensorboard", "abandoned"])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_stands_in_the_place_of_a_folder_is_found_at_the_start(
    run: Path, capsys: pytest.CaptureFixture[str], name: str, kind: str
) -> None:
    shutil.rmtree(run / name, ignore_errors=True)
    if kind == "file":
        (run / name).write_text("mine")
    else:
        (run / name).symlink_to(run / "nowhere")

    assert main(["train", "--resume", str(run), "--training.steps", "2"]) == 2

    assert f"{run / name} should be a folder of the run" in capsys.readouterr().err
    assert RunFolder.open(run).total_steps == 1
