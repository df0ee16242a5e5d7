import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import CORRECTED_SENTENCE, ERROR_SENTENCE, a_pair

OWN = "note,wrong,right\n" + f'"{a_pair().error_note}","{ERROR_SENTENCE}","{CORRECTED_SENTENCE}"\n'


@pytest.fixture
def example(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Loads an example of the checkout, in an empty folder, and gives its function ``main``."""
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> Any:
        return runpy.run_path(str(repository / "examples" / f"{name}.py"), run_name="example")["main"]

    return run


def test_examples_are_short_enough_to_read(repository: Path) -> None:
    examples = sorted((repository / "examples").glob("*.py"))
    assert len(examples) >= 4
    for path in examples:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 80, path.name


def test_ten_games_are_played_and_read(example: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    example("play_ten_games")(10)

    out = capsys.readouterr().out
    assert out.count("Game step-000000-game-") == 10
    assert "of 10 games were decided" in out


@pytest.mark.slow
def test_the_toy_is_trained_and_leaves_a_report_and_a_model(
    example: Callable[..., Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    example("train_the_toy")("run", 2, 8)

    assert capsys.readouterr().out.count("\nstep ") == 1
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "run" / "final" / "model.safetensors").exists()


@pytest.mark.slow
def test_own_notes_in_three_columns_make_an_assessor(
    example: Callable[..., Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "notes.csv").write_text(OWN, encoding="utf-8")

    example("your_own_notes")("notes.csv", "run", "tiny-random", 1, 4)

    assert "medical-team games run" in capsys.readouterr().out
    assert (tmp_path / "run" / "final").is_dir()


def test_a_row_that_cannot_be_used_is_named(example: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text(f"{OWN}A note.,Not in it.,Right.\n", encoding="utf-8")

    with pytest.raises(ValueError, match="row 3: `wrong` must stand in `note` exactly once"):
        example("your_own_notes")("notes.csv", "run", "tiny-random", 1, 4)


def test_notes_as_excel_saves_them_are_read_and_a_column_that_is_not_there_is_named(
    example: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "notes.csv").write_text(OWN, encoding="utf-8-sig")
    (tmp_path / "other.csv").write_text("text,wrong\nA note.,A note.\n", encoding="utf-8")
    read_cases = example("your_own_notes").__globals__["read_cases"]

    assert len(read_cases(tmp_path / "notes.csv")) == OWN.count("\n") - 1
    with pytest.raises(ValueError, match="no column note, right"):
        read_cases(tmp_path / "other.csv")


def test_a_judge_of_ones_own_is_mostly_right_where_it_rules(
    example: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    example("your_own_judge")()

    right, wrong, abstained = (int(part.split()[0]) for part in capsys.readouterr().out.splitlines()[0].split(", "))
    assert right > wrong
    assert abstained > 0
