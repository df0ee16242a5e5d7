"""What an output is not written over: the parts of a run, and what the command reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from medical_team.cli.main import main
from medical_team.data.synthetic import write_synthetic_csv
from medical_team.errors import UsageError
from medical_team.runs.folder import RunFolder
from medical_team.runs.info import check_output
from report_runs import a_run, a_step


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return a_run(tmp_path / "run", [a_step(0, games=4)])


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "notes.csv"
    write_synthetic_csv(path, 12, 1)
    return path


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "command",
    [
        "games RUN --limit 1 -o RUN/games.jsonl",
        "games RUN --form csv -o RUN/metrics.jsonl",
        "report RUN -o RUN/games.jsonl",
        "rejudge RUN -o RUN/games.jsonl",
        "rejudge RUN -o RUN/config.toml",
        "judge audit --medec CSV --judge reference -o RUN/run.json",
        "judge audit --medec CSV --judge reference -o CSV",
        "data build CSV -o RUN/data",
        "data convert RUN/data/train.jsonl -o RUN/data/heldout.jsonl",
        "data synth -o RUN/metrics.jsonl",
        "export RUN -o RUN/final/exported",
    ],
)
def test_nothing_of_a_run_and_nothing_that_is_read_is_written_over(
    run_path: Path, csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    before = contents(tmp_path)
    words = [word.replace("RUN", str(run_path)).replace("CSV", str(csv)) for word in command.split()]

    assert main(words) == 2

    told = capsys.readouterr().err
    assert "belongs to the run" in told or "is what is read" in told
    assert contents(tmp_path) == before


def test_beside_the_parts_of_a_run_there_is_room(run_path: Path) -> None:
    for name in ("report.html", "games.csv", "rejudged.jsonl", "exported/model"):
        check_output(run_path / name)


def test_each_part_of_a_run_is_spared_also_through_a_link(run_path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(run_path)
    RunFolder.open(run_path)
    for part in run_path.iterdir():
        for name in (part, link / part.name, part / "inside"):
            with pytest.raises(UsageError, match="belongs to the run"):
                check_output(name)
