"""A tiny form of each campaign: the command runs, finds no fault, and counts what it did."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from needs import MOUNTING

CAMPAIGNS = Path(__file__).parents[2] / "benchmarks" / "reliability"


def can_mount(folder: Path) -> bool:
    """Whether this process may mount a file system."""
    if sys.platform != "linux" or shutil.which("mount") is None:
        return False
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode == 0:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    return mounted.returncode == 0


def result_of(campaign: str, output: Path, *arguments: str) -> dict[str, Any]:
    """What the campaign wrote, which must have found no fault."""
    done = subprocess.run(
        [sys.executable, str(CAMPAIGNS / f"{campaign}.py"), "-o", str(output), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        text=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_killed_runs_are_equal_to_one_that_nobody_killed(tmp_path: Path) -> None:
    result = result_of("kills", tmp_path / "kills.json", "--kills", "2", "--arm", "opponents")

    assert result["kills"] == 2
    assert sum(result["moments"].values()) == 2
    assert [trial["faults"] for trial in result["trials"]] == [[]] * len(result["trials"])


@pytest.mark.slow
def test_a_service_that_many_clients_use_badly_gives_right_labels(tmp_path: Path) -> None:
    result = result_of("soak", tmp_path / "soak.json", "--clients", "4", "--minutes", "0.05", "--pause", "0.05")

    assert result["labels"] > 0
    assert (result["wrong"], result["failures"]) == (0, 0)


def test_hostile_texts_break_no_rule_of_the_game(tmp_path: Path) -> None:
    result = result_of("hostile", tmp_path / "hostile.json", "--texts", "800")

    assert result["faults"] == []
    assert result["counts"]["texts"] == 800


@pytest.mark.slow
def test_a_failing_judge_costs_no_game_and_gives_no_reward(tmp_path: Path) -> None:
    result = result_of("outages", tmp_path / "outages.json", "--outages", "3")

    assert sum(result["outages"].values()) >= 3
    assert [trial["faults"] for trial in result["trials"]] == [[]] * len(result["trials"])


@pytest.mark.slow
def test_a_full_disk_is_told_and_nothing_half_made_stays(tmp_path: Path) -> None:
    if not can_mount(tmp_path / "disk"):
        MOUNTING.skip()
    result = result_of("full_disk", tmp_path / "disk.json", "--trials", "1", "--command", "train", "--command", "games")

    assert result["ends"] == {"train": {"2": 1}, "games": {"2": 1}}
    assert [trial["faults"] for trial in result["trials"]] == [[], []]


@pytest.mark.slow
def test_two_processes_on_one_place_give_the_result_of_one(tmp_path: Path) -> None:
    result = result_of(
        "two_processes", tmp_path / "two.json", "--trials", "1", "--command", "resume", "--command", "games"
    )

    assert result["ends"] == {"resume": {"[0, 2]": 1}, "games": {"[0, 0]": 1}}
    assert [trial["faults"] for trial in result["trials"]] == [[], []]


@pytest.mark.slow
def test_killed_evaluations_go_on_to_the_same_files(tmp_path: Path) -> None:
    result = result_of("killed_evaluations", tmp_path / "killed.json", "--kills", "2", "--command", "eval crossplay")

    assert result["of"] == {"eval crossplay": 2}
    assert [trial["faults"] for trial in result["trials"]] == [[]] * len(result["trials"])
