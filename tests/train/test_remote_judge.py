"""Training with a judge in another process, which is killed and started again in the middle: real processes, kill -9.

No game may be lost and none wrongly rewarded, so the run must equal, game by game, one that was judged in process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from fault_server import changed, fault_server, half_closed, hanging, reset, status, text, truncated, well

from builders import a_record
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType

STEPS = 5
GAMES_PER_STEP = 8
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    write_jsonl(
        path, [a_record(data_type, id=f"{data_type.value}-{number}") for data_type in DataType for number in (0, 1, 2)]
    )
    return path


def train_command(model: Path, data: Path, run: Path, *judge: str) -> list[str]:
    values = {
        "data.train": data,
        "policy.model": model,
        "training.steps": STEPS,
        "training.games_per_step": GAMES_PER_STEP,
        "training.learning_rate": 0.003,
        "rollout.max_verdict_tokens": 10,
    }
    options = [text for name, value in values.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "medical_team", "train", "--preset", "smoke", *options, "--run", str(run)]
    return [*command, *judge]


@contextlib.contextmanager
def judge_server(port: int) -> Generator[subprocess.Popen[str]]:
    """A reference judge without references: the games bring their cases with them."""
    command = [sys.executable, "-m", "medical_team", "judge", "serve", "--judge", "reference", "--port", str(port)]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while "is ready at" not in process.stdout.readline():
            assert process.poll() is None
        try:
            yield process
        finally:
            process.kill()


def games_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "games.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_a_judge_that_is_killed_and_started_again_costs_no_game(
    tmp_path: Path, talking_model: Path, data: Path
) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"

    with judge_server(port) as judge:
        training = subprocess.Popen(
            train_command(talking_model, data, remote, "--judge", url),
            env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        while not (remote / "games.jsonl").exists() or not (remote / "games.jsonl").stat().st_size:
            assert training.poll() is None, training.stdout and training.stdout.read()
            time.sleep(0.01)
        judge.send_signal(signal.SIGKILL)
    assert training.stdout is not None
    output: list[str] = []
    paused = threading.Event()

    def read() -> None:
        assert training.stdout is not None
        for line in training.stdout:
            output.append(line)
            if "is paused" in line:
                paused.set()
        paused.set()

    reading = threading.Thread(target=read)
    reading.start()
    paused.wait()
    assert training.poll() is None, "".join(output)
    with judge_server(port):
        training.wait()
        reading.join()

    assert training.returncode == 0, "".join(output)
    assert "is back after" in "".join(output)
    subprocess.run(train_command(talking_model, data, local), env=ENVIRONMENT, check=True, capture_output=True)
    games = games_of(remote)
    assert len(games) == STEPS * GAMES_PER_STEP
    assert any(game["rewards"] for game in games)
    assert games == games_of(local)


@pytest.mark.slow
def test_whatever_a_judge_s_service_does_training_goes_on_and_no_game_gets_another_s_label(
    tmp_path: Path, talking_model: Path, data: Path
) -> None:
    run = tmp_path / "run"
    with fault_server() as server:
        # The first question only asks whether this is a judge.
        server.faults.extend([well, reset, half_closed, changed(lambda labels: labels[::-1])])
        server.faults.extend([status(500), status(429), changed(lambda labels: labels[1:])])
        server.faults.extend([text(b"garbage"), hanging(3), well, truncated])
        command = train_command(talking_model, data, run, "--judge", server.url, "--judge.timeout_seconds", "1.5")
        subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True)
        assert not server.faults

    games = games_of(run)
    decided = [game for game in games if game["state"] == "decided"]
    assert len(games) == STEPS * GAMES_PER_STEP
    assert decided
    for game in decided:
        # the fault server says what it was asked about
        assert game["ruling"]["reason"] == game["note"]
        assert game["ruling"]["error_present"] == ("error" in game["note"])
    void = [game for game in games if game["state"] == "void"]
    assert {game["ruling"]["is_abstention"] for game in void} == {False}
    assert not any(game["rewards"] for game in void)
    reasons = " ".join(game["reason"] for game in void)
    assert "has 0 labels of this game" in reasons
    assert 'no list "labels"' in reasons
