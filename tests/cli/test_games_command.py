import csv
import io
import json
from pathlib import Path

import pytest

from medical_team.cli.main import main
from medical_team.jsonl import read_jsonl
from medical_team.records import Game
from medical_team.runs.folder import RunFolder
from report_runs import HOSTILE, a_run, a_step


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return a_run(tmp_path / "run", [a_step(step, games=8, thinking="hidden thought") for step in range(4)])


def games(capsys: pytest.CaptureFixture[str], *arguments: int | str | Path, status: int = 0):
    """What the command writes: to standard output, and to standard error."""
    assert main(["games", *map(str, arguments)]) == status
    return capsys.readouterr()


def test_games_are_listed_a_line_each_the_latest_last(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = games(capsys, run_path)

    lines = shown.out.splitlines()
    assert lines[0].split() == ["game", "step", "category", "error", "type", "outcome", "state", "rewards"]
    assert len(lines) == 21
    assert lines[-1].startswith("step-000003-0007")
    assert shown.err == "The latest 20 of 32 games; --limit shows more\n"


def test_filters_choose(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = games(capsys, run_path, "--category", "adversarial_benign", "--outcome", "false_alarm", "--from-step", 2)

    assert [line.split()[0] for line in shown.out.splitlines()[1:]] == ["step-000002-0003", "step-000003-0007"]
    assert shown.err == "2 games\n"


def test_steps_the_wrong_way_round_are_told(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "exchange them" in games(capsys, run_path, "--from-step", 2, "--to-step", 1, status=2).err


def test_nothing_that_fits_is_told(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = games(capsys, run_path, "--search", "nowhere")

    assert (shown.out, shown.err) == ("", "No game fits.\n")


def test_a_half_written_last_line_is_left_out_and_told(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (run_path / "games.jsonl").open("ab") as file:
        file.write(b'{"spec": {"id"')

    shown = games(capsys, run_path, "--from-step", 3, "--limit", 8)

    assert shown.err.startswith(f"8 games\nLeft out: the half-written last line of {run_path / 'games.jsonl'}")


def test_a_game_in_full_keeps_thinking_folded_unless_asked(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = (run_path, "--id", "step-000001-0002", "--form", "text")

    assert "Game step-000001-0002: step 1, adversarial_harmful" in games(capsys, *one).out
    assert "hidden thought" not in games(capsys, *one).out
    assert "hidden thought" in games(capsys, *one, "--thinking").out


def test_json_and_csv_hold_all_that_fit(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(games(capsys, run_path, "--form", "json").out)
    cells = list(csv.DictReader(io.StringIO(games(capsys, run_path, "--form", "csv").out)))

    assert [row["id"] for row in rows] == [row["id"] for row in cells]
    assert len(rows) == 32


def test_whole_records_go_to_a_file(run_path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    games(capsys, run_path, "--form", "jsonl", "-o", tmp_path / "out.jsonl", "--limit", 3)

    assert read_jsonl(tmp_path / "out.jsonl", Game) == list(RunFolder.open(run_path).games())[-3:]


def test_held_out_games_are_apart(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RunFolder.open(run_path).append_heldout_games(a_step(0)[:2])

    assert games(capsys, run_path, "--heldout").err == "2 games\n"


def test_a_half_written_last_game_is_no_error(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_path / "games.jsonl"
    path.write_bytes(path.read_bytes()[:-50])

    assert "of 31 games" in games(capsys, run_path).err


def test_no_text_drives_the_terminal(
    run_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    game = a_step(4)[0]
    hostile = replace(game, spec=replace(game.spec, id="\x1b[2J" + HOSTILE, step=4))
    RunFolder.open(run_path).append_games([hostile])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    for form in ("list", "text", "json", "csv", "excel", "jsonl"):
        shown = games(capsys, run_path, "--form", form, "--from-step", 4).out
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "owned" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "0"], "--limit is 0, expected at least 1"),
    ],
)
def test_mistakes_are_told_without_a_traceback(
    run_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in games(capsys, run_path, *arguments, status=2).err


def test_a_limit_beyond_any_number_of_games_shows_all(run_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert games(capsys, run_path, "--limit", 10**30).out == games(capsys, run_path, "--limit", 1000).out
