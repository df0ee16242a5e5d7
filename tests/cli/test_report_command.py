from pathlib import Path

import pytest

from medical_team.cli.main import main
from report_runs import a_run, a_step


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return a_run(tmp_path / "run", [a_step(0), a_step(1)])


def test_a_report_goes_into_the_run_s_folder(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run_path)]) == 0

    assert (run_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert capsys.readouterr().out == f"The report, with 8 games to read, is {run_path / 'report.html'}\n"


def test_or_where_it_is_told(run_path: Path, tmp_path: Path) -> None:
    assert main(["report", str(run_path), "-o", str(tmp_path / "new" / "page.html")]) == 0
    assert (tmp_path / "new" / "page.html").exists()


def test_several_runs_lie_over_one_another(run_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = a_run(tmp_path / "other", [a_step(0)])

    assert main(["report", str(run_path), str(other), "-o", str(tmp_path / "both.html")]) == 0
    assert "with 12 games" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the folder of a run"),
        (["{run}", "{other}"], "-o FILE.html"),
        (["{run}", "{run}/."], "named twice"),
        (["{other}"], "is no run folder"),
        (["{loop}"], "is no run folder"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    run_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    names = {"run": run_path, "other": tmp_path / "nothing", "loop": tmp_path / "loop"}
    paths = [argument.format(**names) for argument in arguments]

    assert main(["report", *paths]) == 2
    assert message in capsys.readouterr().err
