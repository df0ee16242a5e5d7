"""From the part files of rollout engines to the run's own files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_game, a_record, a_spec
from medical_team.cli.rejudge import rejudge
from medical_team.config import CheckpointConfig
from medical_team.engines.openrlhf import game_import
from medical_team.engines.openrlhf.dataset import resume_at
from medical_team.engines.openrlhf.game_files import GameCount, GameFiles, PlayedGame
from medical_team.engines.openrlhf.game_import import GameImport
from medical_team.errors import DataError, OutputError
from medical_team.jsonl import to_line
from medical_team.judging import reference_judge
from medical_team.metrics.run_reader import RunReader
from medical_team.records import DataType, Reward, Role
from medical_team.runs.folder import RunFolder
from openrlhf_rollouts import a_run

HELDOUT = [a_record(kind, near_duplicate_group="h") for kind in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)]


def a_played(step: int, index: int = 0, *, attempt: int = 0, suffix: str = "", **changes: Any) -> PlayedGame:
    spec = a_spec(id=f"step-{step:06d}-game-{index:04d}{suffix}", step=step)
    return PlayedGame(attempt, False, 100.0 * step, 100.0 * step + 5, replace(a_game(spec=spec), **changes))


def a_heldout(step: int, index: int) -> PlayedGame:
    data_type = HELDOUT[index].data_type
    spec = a_spec(data_type, id=f"heldout-{step + 1:06d}-{index:04d}", step=step)
    return PlayedGame(0, True, 0.0, 1.0, a_game(data_type, spec=spec))


def files_of(run: RunFolder) -> GameFiles:
    return GameFiles(run.path / "engine")


def write(run: RunFolder, *games: PlayedGame) -> GameFiles:
    files = files_of(run)
    for played in games:
        files.write(played)
    return files


def imported(run: RunFolder, *, is_over: bool = False) -> list[str]:
    """The ids of the games that a launch finds in the run after it has brought in what is there."""
    with run.locked():
        GameImport(run).bring(is_over=is_over)
    return [game.spec.id for game in run.games()]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return a_run(tmp_path / "run", games_per_step=2, heldout=HELDOUT, checkpoints=CheckpointConfig(evaluate_every=2))


def test_a_run_that_has_not_begun_has_nothing_to_import(run: RunFolder) -> None:
    assert imported(run) == []


def test_games_come_from_all_engines_in_the_order_of_their_steps(run: RunFolder) -> None:
    first, second = a_played(0, 0), a_played(1, 0)
    write(run, first, second)
    write(run, a_played(0, 1), a_played(1, 1))

    imported(run)

    games = list(run.games())
    assert [(game.spec.step, game.spec.id[-1]) for game in games] == [(0, "0"), (0, "1"), (1, "0"), (1, "1")]
    assert games[0] == first.game


def test_importing_twice_doubles_nothing(run: RunFolder) -> None:
    files = write(run, a_played(0), a_heldout(0, 0))

    with run.locked():
        games = GameImport(run)
        games.bring()
        games.bring()
        files.write(a_played(0, 1))
        games.bring()
        GameImport(run).bring()

    assert [len(list(run.games())), len(list(run.heldout_games()))] == [2, 1]


def test_a_line_that_is_being_written_waits_until_it_is_whole(run: RunFolder) -> None:
    files = write(run, a_played(0, 0))
    (path,) = (run.path / "engine").glob("games-*.jsonl")
    line = to_line(a_played(0, 1)) + "\n"
    with path.open("a") as file:
        file.write(line[:100])
    assert len(imported(run)) == 1

    with path.open("a") as file:
        file.write(line[100:])
    files.write(a_played(1, 0))

    assert len(imported(run)) == 3


def test_a_game_that_is_seen_late_goes_where_it_belongs(run: RunFolder) -> None:
    write(run, a_played(0, 0), a_played(1, 0))
    assert len(imported(run)) == 2
    write(run, a_played(0, 1))

    assert [game_id[:11] for game_id in imported(run)] == ["step-000000", "step-000000", "step-000001"]


def test_an_import_that_was_killed_in_mid_line_is_mended_by_the_resume(run: RunFolder) -> None:
    write(run, a_played(0, 0), a_played(0, 1))
    expected = imported(run)
    path = run.path / "games.jsonl"
    path.write_bytes(path.read_bytes()[:-200])

    with run.locked():
        resume_at(run, 1)
    assert imported(run) == expected


def test_what_could_not_be_written_comes_with_the_next_import(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    write(run, a_heldout(0, 0), a_played(0, 0))
    appended = game_import.append_lines

    def full(path: Path, lines: list[str]) -> None:
        if path.name == "games.jsonl":
            raise OutputError("a disk is full")
        appended(path, lines)

    with run.locked():
        games = GameImport(run)
        monkeypatch.setattr(game_import, "append_lines", full)
        with pytest.raises(OutputError):
            games.bring()
        monkeypatch.undo()
        games.bring()

    assert [len(list(run.games())), len(list(run.heldout_games()))] == [1, 1]


def test_a_resumed_run_holds_one_history_and_loses_nothing(run: RunFolder) -> None:
    count = GameCount(run.path / "engine")
    write(run, a_played(0), a_played(1, reason="first"), a_played(2, reason="first"))
    assert len(imported(run)) == 3

    with run.locked():
        resume_at(run, 1)
    assert len(imported(run)) == 1
    place = count.take()
    assert (place.attempt, place.number) == (1, 2)
    write(run, a_played(1, attempt=place.attempt, reason="second"))

    imported(run)
    assert [game.reason for game in run.games() if game.spec.step == 1] == ["second"]
    abandoned = (run.path / "abandoned" / "games.jsonl").read_text().splitlines()
    assert len(abandoned) == 2


def test_a_damaged_line_is_named(run: RunFolder) -> None:
    write(run, a_played(0))
    (path,) = (run.path / "engine").glob("games-*.jsonl")
    path.write_text('{"attempt": 0}\n')

    with pytest.raises(DataError, match=path.name):
        imported(run)


def test_a_step_has_its_metrics_when_it_is_complete_and_evaluated(run: RunFolder) -> None:
    write(run, a_played(0, 0), a_played(0, 0, suffix="-second"))
    imported(run)
    assert list(run.metrics()) == []

    write(run, a_played(0, 1), a_played(1, 0), a_played(1, 1))
    imported(run)
    assert [line.step for line in run.metrics()] == [0]

    # An evaluation is due after every second step.
    write(run, a_heldout(1, 0), a_heldout(1, 1))
    imported(run)
    imported(run)
    first, second = run.metrics()
    assert (first.values["games/all"], first.values["seconds/play"]) == (3, 5.0)
    assert "heldout/balanced_accuracy" not in first.values
    assert second.values["heldout/balanced_accuracy"] == 0.5


def test_the_last_step_waits_for_games_in_the_place_of_others(run: RunFolder) -> None:
    rewarded = (Reward(Role.ATTACKER, 1.0, None, None, 1.0), Reward(Role.ASSESSOR, -1.0, None, None, -1.0))
    write(run, a_played(0, 0, rewards=rewarded), a_played(0, 1, rewards=rewarded[:1]))
    imported(run)
    assert list(run.metrics()) == []

    write(run, a_played(0, 2 + 3 * 8, rewards=rewarded[1:]))
    imported(run, is_over=True)

    (line,) = run.metrics()
    assert line.values["replacements/adversarial_harmful"] == 1.0


def test_a_step_in_which_all_learn_is_told_at_once(run: RunFolder) -> None:
    rewarded = (Reward(Role.ATTACKER, 1.0, None, None, 1.0), Reward(Role.ASSESSOR, -1.0, None, None, -1.0))
    write(run, a_played(0, 0, rewards=rewarded), a_played(0, 1, rewards=rewarded))

    imported(run)

    assert [line.step for line in run.metrics()] == [0]


def test_reports_and_judges_work_on_what_was_imported(run: RunFolder) -> None:
    write(run, a_played(0, 0), a_played(0, 1), a_played(1, 0))
    imported(run)

    reader = RunReader(run.path)
    reader.refresh()
    assert [figures.step for figures in reader.steps()] == [0, 1]
    result = rejudge(run.games(), reference_judge(), run.config.game, lambda done, total: None)
    assert len(result.games) == 3
