import json

import pytest

from builders import a_record
from medical_team.cli.main import main
from medical_team.jsonl import write_jsonl
from medical_team.policy.shipped_models import make_tiny_model
from medical_team.records import DataType


@pytest.fixture
def heldout(tmp_path):
    records = [a_record(kind, id=kind.value) for kind in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)]
    write_jsonl(tmp_path / "heldout.jsonl", records)
    return tmp_path / "heldout.jsonl"


def run(capsys, *arguments):
    status = main(["eval", "games", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_models_games_and_figures_are_told_and_written(heldout, tmp_path, capsys):
    status, out, err = run(capsys, "tiny-random", "--data", heldout, "--games", "4", "-o", tmp_path / "out")

    assert status == 0
    assert "no_verdict_rate" in out
    metrics = json.loads((tmp_path / "out" / "tiny-random" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["settings"]["judge"] == "reference"
    assert len((tmp_path / "out" / "tiny-random" / "games.jsonl").read_text().splitlines()) == 4
    assert "Loading tiny-random" in err


def test_two_models_of_one_name_are_told_apart(heldout, tmp_path, capsys):
    arguments = ["tiny-random", "tiny-random", "--data", heldout, "--games", "4", "-o", tmp_path / "out"]
    status, out, _ = run(capsys, *arguments)

    assert status == 0
    assert {line.split()[0] for line in out.splitlines() if line.endswith("games")} == {
        "tiny-random-1",
        "tiny-random-2",
    }


def test_what_lies_there_already_is_left_alone(heldout, tmp_path, capsys):
    (tmp_path / "out" / "tiny-random").mkdir(parents=True)
    (tmp_path / "out" / "tiny-random" / "thesis.txt").write_text("precious")

    status, _, err = run(capsys, "tiny-random", "--data", heldout, "-o", tmp_path / "out")

    assert status == 2
    assert "is there already" in err


def test_a_file_in_the_place_of_the_folder_is_found_before_anybody_plays(heldout, tmp_path, capsys):
    (tmp_path / "out").write_text("precious")

    status, _, err = run(capsys, "tiny-random", "--data", heldout, "-o", tmp_path / "out")

    assert status == 2
    assert f"can't be made, since {tmp_path / 'out'} is a file" in err
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
def test_what_cannot_play_is_refused(heldout, tmp_path, capsys, models, message):
    status, _, err = run(capsys, *models, "--data", heldout, "-o", tmp_path / "out")

    assert status == 2
    assert message in err


def test_how_alike_revisions_are_is_told_by_a_model_if_one_is_named(heldout, tmp_path, capsys):
    for part in make_tiny_model():
        part.save_pretrained(tmp_path / "embedder")

    options = ["--embedding-model", tmp_path / "embedder", "--games", "4", "-o", tmp_path / "out"]
    status, out, err = run(capsys, "tiny-random", "--data", heldout, *options)

    assert status == 0
    assert "embedding_similarity" in out
    assert "absent" not in err
