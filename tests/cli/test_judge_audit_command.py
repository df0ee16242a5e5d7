import json
from pathlib import Path

import pytest

from command_lines import told
from medec_csv import an_error_row, some_rows, write_csv
from medical_team.judge.questions import PROMPT_VERSION
from openai_server import a_completion, openai_server


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "medec.csv", some_rows(10))


def run(capsys: pytest.CaptureFixture[str], *arguments: int | str | Path):
    return told(capsys, "judge", *arguments)


def test_the_reference_judge_is_audited_by_default(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "audit", "--medec", csv, "-o", tmp_path / "audit.json")

    assert (status, err) == (0, "")
    assert out.startswith("The judge reference on 10 error cases (10 near-duplicate groups) of medec.csv\n")
    assert "pair accuracy, of all pairs      1.000" in out
    assert "causalOrganism" in out
    assert "a sentence a line" in out
    written = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))
    assert written["notes"]["pair_accuracy"]["value"] == 1.0
    assert written["judge"] == "reference"


def test_a_model_behind_a_server_is_audited_by_its_options(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with openai_server(lambda body: a_completion("A")) as server:
        options = ["--judge", "openai", "--judge.url", server.url, "--judge.model", "m", "--judge.votes", 1]
        options += ["--judge.cache", tmp_path / "cache", "--cases", 2, "--format", "markdown"]
        status, out, _ = run(capsys, "audit", "--medec", csv, *options)

    assert status == 0
    assert "The judge openai:m on 2 error cases" in out
    # it says that every note has an error
    assert "| recall | 1.000 |" in out
    assert "| specificity | 0.000 |" in out
    assert f"prompt version {PROMPT_VERSION}" in out


def test_rows_that_are_no_case_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = write_csv(tmp_path / "medec.csv", [*some_rows(2), an_error_row(9, Error_Sentence="Nothing of this note.")])
    status, _, err = run(capsys, "audit", "--medec", csv)
    assert status == 0
    assert err.startswith("not used: line")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit", "--medec", "absent.csv"], "absent.csv can't be read"),
        (["adit"], "Did you mean 'judge audit'?"),
        (["audit", "--medec", "CSV", "--cases", "0"], "--cases is 0"),
        (["audit", "--medec", "CSV", "--judge", "openai"], "judge.url is not set"),
        (["audit", "--medec", "CSV", "--judge.votes", "0"], "judge.votes is 0"),
        (["audit", "--medec", "CSV", "--judge", "model", "--judge.model", "/nowhere"], "there is no folder /nowhere"),
    ],
)
def test_what_the_user_can_mend_is_one_message_and_exit_2(
    csv: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    status, out, err = run(capsys, *[csv if argument == "CSV" else argument for argument in arguments])
    assert (status, out) == (2, "")
    assert message in err


def test_help_names_the_subcommands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--help")[0] == 0
    status, out, _ = run(capsys)
    assert status == 2
    assert "medical-team judge audit" in out
    assert "medical-team judge serve" in out
