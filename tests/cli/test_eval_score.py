from pathlib import Path

import pytest

from command_lines import told
from medec_csv import some_rows, write_csv


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "medec.csv", some_rows(2))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path):
    return told(capsys, "eval", *arguments)


def a_submission(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "submission.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_score_prints_a_name_and_a_value_in_full_precision_on_each_line(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submission = a_submission(tmp_path, "ms-val-0 1 1 Patient 0 is given 5 mg of amoxicillin.", "ms-val-1 0 -1 NA")

    status, out, err = run(capsys, "score", submission, "--medec", csv)

    figures = dict(line.split(" ") for line in out.splitlines())
    assert status == 0
    assert (figures["flag_accuracy"], figures["sentence_accuracy"]) == ("0.5", "0.5")
    assert float(figures["R1F"]) == pytest.approx(7 / 8, abs=1e-8)
    assert len(figures["R1F"]) > 10
    assert "2 of 4 texts of medec.csv are answered" in err
    assert "BERTScore" not in out


def test_score_says_what_it_ignored_mended_and_lacks(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submission = a_submission(tmp_path, "ms-val-0 0 -1 NA", "other-1 1 1 A\\d", "broken")

    _, out, err = run(capsys, "score", submission, "--medec", csv)

    assert "R1F " not in out
    assert "ignored: 1 ids that are not in medec.csv, for example 'other-1'" in err
    assert "passed over, no answer by the organisers' rule: line 3" in err
    assert "mended: a backslash" in err
    assert "R1F, R2F, RLF: absent" in err


def test_score_of_a_missing_file_is_a_users_error(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "score", tmp_path / "nothing.txt", "--medec", csv)

    assert (status, out) == (2, "")
    assert "nothing.txt can't be read" in err


def test_an_unknown_subcommand_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "scores")

    assert status == 2
    assert "Did you mean 'eval score'?" in err
