import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medical_team.errors import RunFolderError
from medical_team.metrics.run_reader import RunReader
from medical_team.report.page_file import GameArchive
from medical_team.runs.folder import RunFolder
from medical_team.runs.lock import RunState
from report_runs import a_run, a_step, add_step


def read(path: Path):
    reader = RunReader(path, GameArchive().add)
    reader.refresh()
    return reader


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return a_run(tmp_path / "run", [a_step(0), a_step(1)], total_steps=4)


def hold_lock(path: Path):
    """A process that works in the run until it is killed."""
    code = """
import sys, time
from pathlib import Path
from medical_team.runs.folder import RunFolder
with RunFolder.open(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_run_that_is_not_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is no run folder"):
        RunReader(tmp_path, GameArchive().add)


def test_a_run_is_read_in_one_pass(run_path: Path) -> None:
    reader = read(run_path)

    assert [figures.step for figures in reader.steps()] == [0, 1]
    assert reader.metrics()[1]["seconds/judge"] == 0.5
    assert reader.metrics()[0]["judge_source/a test"] == 1.0
    assert reader.traces().completed_steps == 2
    assert reader.traces().state is RunState.STOPPED


def test_what_is_new_is_added(run_path: Path) -> None:
    reader = read(run_path)
    add_step(RunFolder.open(run_path), 2, a_step(2, games=8))

    assert not reader.is_cut
    reader.refresh()

    assert [figures.games for figures in reader.steps()] == [4, 4, 8]
    assert 2 in reader.metrics()


def test_reading_bit_by_bit_is_reading_at_once(tmp_path: Path) -> None:
    whole = a_run(tmp_path / "whole", [a_step(step) for step in range(4)])
    growing = tmp_path / "growing"
    shutil.copytree(whole, growing)
    lines = (growing / "games.jsonl").read_bytes()
    (growing / "games.jsonl").write_bytes(b"")
    reader = RunReader(growing, GameArchive().add)
    for end in range(0, len(lines) + 5000, 5000):
        (growing / "games.jsonl").write_bytes(lines[:end])
        reader.refresh()

    assert reader.steps() == read(whole).steps()
    assert reader.metrics() == read(whole).metrics()


def test_a_resumed_run_is_noticed(run_path: Path) -> None:
    reader = read(run_path)
    RunFolder.open(run_path).rewind(1)

    assert reader.is_cut
    assert read(run_path).traces().abandoned_lines == 5


def test_a_run_without_metrics_gets_those_of_its_games(tmp_path: Path) -> None:
    path = a_run(tmp_path / "run", [a_step(0), a_step(1)], metrics=False)

    metrics = read(path).metrics()

    assert metrics[0]["win_rate/attacker"] == metrics[1]["win_rate/assessor"] == 1.0


def test_a_run_that_is_going_on_and_one_that_was_killed(run_path: Path) -> None:
    process = hold_lock(run_path)
    try:
        assert read(run_path).traces().state is RunState.RUNNING
    finally:
        process.kill()
        process.wait()
    assert read(run_path).traces().state is RunState.KILLED


def test_looking_at_a_killed_run_does_not_keep_it_from_being_resumed(run_path: Path) -> None:
    # This test's own process lives, so that the lock is tried.
    (run_path / "lock").write_text(f"process {os.getpid()} on {os.uname().nodename}\n")

    assert read(run_path).traces().state is RunState.KILLED
    with RunFolder.open(run_path).locked():
        pass


def test_a_run_copied_from_another_machine_while_it_ran(run_path: Path) -> None:
    (run_path / "lock").write_text("process 1 on another-machine\n")

    assert read(run_path).traces().state is RunState.ELSEWHERE


def test_a_finished_run(tmp_path: Path) -> None:
    assert read(a_run(tmp_path / "run", [a_step(0)])).traces().state is RunState.FINISHED


def test_a_half_written_last_game_is_left_out(run_path: Path) -> None:
    games = run_path / "games.jsonl"
    games.write_bytes(games.read_bytes()[:-100])

    assert [figures.games for figures in read(run_path).steps()] == [4, 3]


def test_a_run_can_be_read_where_nothing_can_be_written(run_path: Path, tmp_path: Path) -> None:
    before = sorted(path.stat().st_mtime_ns for path in Path(run_path).rglob("*"))

    read(run_path)

    assert sorted(path.stat().st_mtime_ns for path in Path(run_path).rglob("*")) == before
