import json
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest

from builders import a_record
from command_lines import killed_when, told
from medical_team.evaluation import model_choice, model_games
from medical_team.jsonl import write_jsonl
from medical_team.policy.shipped_models import make_tiny_model
from medical_team.records import DataType
from stand_ins import always


@pytest.fixture
def heldout(tmp_path: Path) -> Path:
    records = [a_record(kind, id=kind.value) for kind in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)]
    write_jsonl(tmp_path / "heldout.jsonl", records)
    return tmp_path / "heldout.jsonl"


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path):
    return told(capsys, "eval", "games", *arguments)


def test_a_models_games_and_figures_are_told_and_written(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "tiny-random", "--data", heldout, "--games", "4", "-o", tmp_path / "out")

    assert status == 0
    assert "no_verdict_rate" in out
    metrics = json.loads((tmp_path / "out" / "tiny-random" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["settings"]["judge"] == "reference"
    assert len((tmp_path / "out" / "tiny-random" / "games.jsonl").read_text().splitlines()) == 4
    assert "Loading tiny-random" in err


def test_two_models_of_one_name_are_told_apart(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["tiny-random", "tiny-random", "--data", heldout, "--games", "4", "-o", tmp_path / "out"]
    status, out, _ = run(capsys, *arguments)

    assert status == 0
    assert {line.split()[0] for line in out.splitlines() if line.endswith("games")} == {
        "tiny-random-1",
        "tiny-random-2",
    }


def test_what_lies_there_already_is_left_alone(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "tiny-random").mkdir(parents=True)
    (tmp_path / "out" / "tiny-random" / "thesis.txt").write_text("precious")

    status, _, err = run(capsys, "tiny-random", "--data", heldout, "-o", tmp_path / "out")

    assert status == 2
    assert "is there already" in err


def test_a_file_in_the_place_of_the_folder_is_found_before_anybody_plays(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("precious")

    status, _, err = run(capsys, "tiny-random", "--data", heldout, "-o", tmp_path / "out")

    assert status == 2
    assert f"can't write {tmp_path / 'out'}" in err
    assert "Not a directory" in err
    assert "Loading" not in err


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "name at least one model"),
        (["all-safe"], "is a baseline"),
        ([""], "the name of a model is empty"),
        (["tiny-random", "--opponent", ""], "the name of a model is empty"),
    ],
)
def test_what_cannot_play_is_refused(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], models: list[str], message: str
) -> None:
    status, _, err = run(capsys, *models, "--data", heldout, "-o", tmp_path / "out")

    assert status == 2
    assert message in err


def test_how_alike_revisions_are_is_told_by_a_model_if_one_is_named(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in make_tiny_model():
        cast("Any", part).save_pretrained(tmp_path / "embedder")

    options = ["--embedding-model", tmp_path / "embedder", "--games", "4", "-o", tmp_path / "out"]
    status, out, err = run(capsys, "tiny-random", "--data", heldout, *options)

    assert status == 0
    assert "embedding_similarity" in out
    assert "absent" not in err


@pytest.mark.parametrize(("function", "call"), [("attacked", 1), ("assessed", 1), ("attacked", 2), ("assessed", 2)])
def test_a_command_that_was_killed_goes_on_to_the_same_files(
    heldout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    call: int,
) -> None:
    arguments = ["tiny-random", "tiny-random", "--data", heldout, "--games", "4", "-o"]
    _, expected, _ = run(capsys, *arguments, tmp_path / "whole")
    with monkeypatch.context() as patch:
        killed_when(patch, model_games, function, call)
        assert run(capsys, *arguments, tmp_path / "out")[0] == 130

    calls = killed_when(monkeypatch, model_games, "attacked", 0)
    status, out, err = run(capsys, *arguments, tmp_path / "out")

    assert status == 0, err
    assert out.replace(str(tmp_path / "out"), str(tmp_path / "whole")) == expected
    assert (
        len(calls) == {("attacked", 1): 2, ("assessed", 1): 1, ("attacked", 2): 1, ("assessed", 2): 0}[function, call]
    )
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def contents(folder: Path):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_games_of_another_evaluation_are_not_gone_on_with(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        killed_when(patch, model_games, "assessed", 1)
        assert run(capsys, "tiny-random", "--data", heldout, "--games", "4", "-o", tmp_path / "out")[0] == 130

    status, _, err = run(capsys, "tiny-random", "--data", heldout, "--games", "8", "-o", tmp_path / "out")

    assert status == 2
    assert "holds another evaluation (games 4 there, 8 here)" in err
    assert "name another folder with -o, or remove it" in err


def test_a_command_that_is_done_tells_its_figures_again_and_another_is_refused(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["tiny-random", "--data", heldout, "--games", "4", "-o", tmp_path / "out"]
    first = run(capsys, *arguments)
    # As a process leaves it that is killed when its folder stands.
    (tmp_path / "out" / "tiny-random.unfinished").mkdir()

    again = run(capsys, *arguments)

    assert again[:2] == first[:2]
    assert not (tmp_path / "out" / "tiny-random.unfinished").exists()
    assert "Loading" not in again[2]
    status, _, err = run(capsys, *arguments, "--seed", "7")
    assert status == 2
    assert "is there already" in err


def test_an_evaluation_that_goes_on_keeps_its_day(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["tiny-random", "--data", heldout, "--games", "4", "-o", tmp_path / "out"]
    monkeypatch.setattr(model_choice, "today", lambda: date(2026, 3, 5))
    with monkeypatch.context() as patch:
        killed_when(patch, model_games, "assessed", 1)
        assert run(capsys, *arguments)[0] == 130
    monkeypatch.setattr(model_choice, "today", lambda: date(2026, 3, 6))

    assert run(capsys, *arguments)[0] == 0
    assert run(capsys, *arguments)[0] == 0
    metrics = json.loads((tmp_path / "out" / "tiny-random" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["settings"]["prompt_date"] == "2026-03-05"


def test_a_folder_that_is_half_written_when_its_process_is_killed_is_gone_when_another_has_written_it(
    heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["tiny-random", "--data", heldout, "--games", "4", "-o", tmp_path / "out"]
    with monkeypatch.context() as patch:
        # As after SIGKILL: nobody tidies up.
        patch.setattr("medical_team.files.shutil.rmtree", always(None))
        killed_when(patch, model_games, "write_jsonl", 1)
        assert run(capsys, *arguments)[0] == 130
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tiny-random.unfinished"}
    assert list((tmp_path / "out" / "tiny-random.unfinished").glob(".tiny-random.*"))

    assert run(capsys, *arguments)[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tiny-random"}
