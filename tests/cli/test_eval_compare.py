import csv
import io
from pathlib import Path

import pytest

from command_lines import told
from medec_csv import some_rows, write_csv


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path):
    return told(capsys, "eval", *arguments)


@pytest.fixture
def evaluations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[Path]:
    medec = write_csv(tmp_path / "medec.csv", some_rows(3))
    folders = [tmp_path / name for name in ("all-safe", "copy-oracle", "all-harmful")]
    for folder in folders:
        run(capsys, "medec", folder.name, "--medec", medec, "-o", folder)
    return folders


def test_evaluations_are_told_side_by_side_with_their_differences(
    evaluations: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "compare", *evaluations[:2])

    assert status == 0
    line = next(line for line in out.splitlines() if line.startswith("flag_accuracy") and "copy-oracle" in line)
    assert line.split()[2] == "1.000"
    assert "+0.500" in line
    assert "all-safe and copy-oracle: 0 items right only in the first, 3 only in the second" in err
    assert "not corrected" not in err


def test_several_comparisons_are_said_to_be_uncorrected(
    evaluations: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "2 comparisons, not corrected for their number" in run(capsys, "compare", *evaluations)[2]


def test_a_table_can_be_had_for_a_paper_or_a_spreadsheet(
    evaluations: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(csv.reader(io.StringIO(run(capsys, "compare", *evaluations, "--format", "csv")[1])))

    assert rows[0][:5] == ["measure", "model", "value", "low", "high"]
    assert rows[2][:3] == ["flag_accuracy", "copy-oracle", "1.0"]
    assert float(dict(zip(rows[0], rows[2], strict=True))["difference"]) == 0.5
    assert r"\begin{tabular}" in run(capsys, "compare", *evaluations, "--format", "latex")[1]
    assert run(capsys, "compare", *evaluations, "--format", "markdown")[1].startswith("| measure |")


def test_one_evaluation_alone_is_a_users_error(evaluations: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "compare", evaluations[0])[0] == 2
