from dataclasses import replace
from pathlib import Path

import pytest

from builders import a_game, a_record, a_spec
from command_lines import told
from medical_team.cli.rejudge import RejudgedGame
from medical_team.config import RunConfig
from medical_team.game.play import score
from medical_team.jsonl import read_jsonl
from medical_team.records import DataType
from medical_team.runs.folder import RunFolder
from openai_server import a_completion, openai_server


@pytest.fixture
def run_folder(tmp_path: Path) -> RunFolder:
    """A run of four games, one of which has nothing to rule on."""
    config = RunConfig()
    run = RunFolder.create(tmp_path / "run", config, [a_record(kind) for kind in DataType])
    games = [
        a_game(DataType.VANILLA_HARMFUL),
        a_game(DataType.VANILLA_BENIGN),
        a_game(DataType.ADVERSARIAL_HARMFUL),
        a_game(DataType.VANILLA_BENIGN, spec=a_spec(DataType.VANILLA_BENIGN, id="silent"), verdict=None),
    ]
    with run.locked():
        run.append_games(score(games, config.game))
    return run


def rejudge(capsys: pytest.CaptureFixture[str], *arguments: int | str | Path):
    return told(capsys, "rejudge", *arguments)


def test_the_reference_judge_rules_again(run_folder: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run_folder.path / "games.jsonl").read_bytes()
    status, out, _ = rejudge(capsys, run_folder.path)

    assert status == 0
    assert out.startswith("3 games judged again by reference, 1 had nothing to rule on\n")
    assert "agreement where both judges decided: 1.000" in out
    assert "The judges differ on 1 of 3 games; some of them:" in out
    assert "  before: error: the test says so\n  now:    can't tell: the words of the error stand, but words" in out
    assert (run_folder.path / "games.jsonl").read_bytes() == before


def test_a_half_written_last_line_is_left_out_and_told(
    run_folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with (run_folder.path / "games.jsonl").open("ab") as file:
        file.write(b"\0")

    status, out, err = rejudge(capsys, run_folder.path)

    assert status == 0
    assert out.startswith("3 games judged again by reference")
    assert f"Left out: the half-written last line of {run_folder.path / 'games.jsonl'}" in err


def test_another_judge_is_shown_with_what_it_does_to_rewards(
    run_folder: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # the first wording has the error as A: an error everywhere
    with openai_server(lambda body: a_completion("A")) as server:
        options = ["--judge", "openai", "--judge.url", server.url, "--judge.model", "m", "--judge.votes", 1]
        options += ["--judge.cache", tmp_path / "cache", "-o", tmp_path / "games.jsonl", "--show", 1]
        status, out, _ = rejudge(capsys, run_folder.path, *options)

    assert status == 0
    assert "judged again by openai:m" in out
    assert out.count("before: ") == 1
    assert "before: no error: the test says so" in out
    written = read_jsonl(tmp_path / "games.jsonl", RejudgedGame)
    assert [game.is_contradiction for game in written] == [False, True, False]


def test_hostile_text_drives_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder.create(tmp_path / "run", RunConfig(), [a_record()])
    game = a_game(DataType.VANILLA_BENIGN, error_present=True)
    game = replace(game, reason="\x1b[2Jgone\u202e")
    with run.locked():
        run.append_games([game])

    _, out, _ = rejudge(capsys, run.path)

    assert "\x1b" not in out
    assert r"\x1b[2Jgone\u202e" in out


def test_what_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = rejudge(capsys, tmp_path)
    assert (status, out) == (2, "")
    assert "is no run folder" in err
