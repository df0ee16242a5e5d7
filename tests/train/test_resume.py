"""A run that was killed and resumed ends in the numbers of one that was not: real processes, real kill -9."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from builders import a_record
from medical_team.jsonl import write_jsonl
from medical_team.policy.transformers_inside import read_tensors
from medical_team.records import DataType

STEPS = 4
MEASURED = ("seconds/", "speed/", "memory/", "disk/")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    write_jsonl(
        path, [a_record(data_type, id=f"{data_type.value}-{number}") for data_type in DataType for number in (0, 1, 2)]
    )
    write_jsonl(
        path.with_name("heldout.jsonl"),
        [a_record(data_type, id=data_type.value, near_duplicate_group="apart") for data_type in DataType],
    )
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "medical_team", "train", *map(str, arguments)]


def options(model: Path, data: Path, *, steps: int = STEPS, **more: object) -> list[str]:
    values = {
        "data.train": data,
        "data.heldout": data.with_name("heldout.jsonl"),
        "policy.model": model,
        "training.steps": steps,
        "training.games_per_step": 8,
        "training.learning_rate": 0.003,
        "training.normalization": "batch",
        "training.minibatches_per_step": 2,
        "rollout.max_verdict_tokens": 10,
        **more,
    }
    return ["--preset", "smoke", *(text for name, value in values.items() for text in (f"--{name}", str(value)))]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run_to_the_end(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=ENVIRONMENT, text=True, capture_output=True, timeout=240, stdin=subprocess.DEVNULL
    )


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def unmeasured_metrics(run: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line["values"].items() if not name.startswith(MEASURED)}
        for line in lines_of(run / "metrics.jsonl")
    ]


def assert_same_numbers(one: Path, other: Path) -> None:
    assert lines_of(one / "games.jsonl") == lines_of(other / "games.jsonl")
    assert lines_of(one / "heldout_games.jsonl") == lines_of(other / "heldout_games.jsonl")
    assert unmeasured_metrics(one) == unmeasured_metrics(other)
    for weights in ("final/model.safetensors", f"checkpoints/step-{STEPS:06d}/optimizer.safetensors"):
        ours, theirs = read_tensors(one / weights), read_tensors(other / weights)
        assert ours.keys() == theirs.keys()
        assert all(bool((ours[name] == theirs[name]).all()) for name in ours), weights


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, talking_model: Path, data: Path) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    result = run_to_the_end(*options(talking_model, data), "--run", run)
    assert result.returncode == 0, result.stderr
    return run


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_the_run_is_not_trivial(uninterrupted: Path) -> None:
    """Verdicts of both kinds were given and rewarded, and the weights moved: else equal numbers would show nothing."""
    games = lines_of(uninterrupted / "games.jsonl")

    assert len(games) == 8 * STEPS
    rewards = {reward["total"] for game in games for reward in game["rewards"] if reward["role"] == "assessor"}
    assert rewards == {1.0, -1.0}
    assert any(line["values"].get("policy/gradient_norm", 0) > 0 for line in lines_of(uninterrupted / "metrics.jsonl"))


@pytest.mark.slow
def test_killed_after_two_steps_moved_and_resumed(
    uninterrupted: Path, tmp_path: Path, talking_model: Path, data: Path
) -> None:
    run = tmp_path / "killed"
    arguments = options(talking_model, data, **{"checkpoints.save_every": 2})
    with subprocess.Popen(
        command(*arguments, "--run", run), env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for(run / "checkpoints" / "step-000002", process)
        # Somewhere in the third step, whose games may be on disk already.
        process.kill()
    assert process.returncode == -signal.SIGKILL
    moved = tmp_path / "moved" / "elsewhere"
    shutil.move(run, moved)
    with (moved / "games.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"spec": {"id": "half a li')

    result = run_to_the_end("--resume", moved)

    assert result.returncode == 0, result.stderr
    assert_same_numbers(uninterrupted, moved)
    abandoned = (moved / "abandoned" / "games.jsonl").read_text(encoding="utf-8")
    assert abandoned.rstrip("\n").endswith("half a li")


@pytest.mark.slow
def test_two_steps_and_two_more_are_four(uninterrupted: Path, tmp_path: Path, talking_model: Path, data: Path) -> None:
    run = tmp_path / "in two sittings"
    first = run_to_the_end(*options(talking_model, data, steps=2), "--run", run)
    second = run_to_the_end("--resume", run, "--training.steps", str(STEPS))

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert_same_numbers(uninterrupted, run)


@pytest.mark.slow
def test_ctrl_c_finishes_the_step_saves_and_says_how_to_go_on(
    uninterrupted: Path, tmp_path: Path, talking_model: Path, data: Path
) -> None:
    run = tmp_path / "interrupted"
    arguments = options(talking_model, data, **{"checkpoints.save_every": 100})
    with subprocess.Popen(
        command(*arguments, "--run", run), env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        wait_for(run / "games.jsonl", process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=200)

    assert process.returncode == 130, errors
    assert f"Go on with: medical-team train --resume {run}" in output
    assert "Traceback" not in errors
    (saved,) = [folder for folder in (run / "checkpoints").iterdir() if folder.is_dir()]
    assert len(lines_of(run / "games.jsonl")) == 8 * int(saved.name.removeprefix("step-"))

    result = run_to_the_end("--resume", run)

    assert result.returncode == 0, result.stderr
    assert_same_numbers(uninterrupted, run)


@pytest.mark.slow
def test_a_second_process_on_the_same_run_is_refused(tmp_path: Path, talking_model: Path, data: Path) -> None:
    run = tmp_path / "busy"
    with subprocess.Popen(
        command(*options(talking_model, data, steps=1000), "--run", run),
        env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        wait_for(run / "games.jsonl", process)
        second = run_to_the_end("--resume", run)
        third = run_to_the_end(*options(talking_model, data), "--run", run)
        process.kill()

    assert (second.returncode, third.returncode) == (2, 2)
    assert str(process.pid) in second.stderr
    assert "already holds a run" in third.stderr
    assert "Traceback" not in second.stderr + third.stderr
