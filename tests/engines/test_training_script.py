"""The checklist's own script: a real shell, a real judge, and an engine that is a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import fake_engine
from builders import synthetic_records
from local_server import free_port
from medical_team.jsonl import write_jsonl
from medical_team.runs.folder import RunFolder

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_medical_reinforce.sh"


def run_script(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "ENGINE_PYTHON": sys.executable, **variables}
    return subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_script_is_valid_and_can_be_run() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    assert os.access(SCRIPT, os.X_OK)


def test_a_dry_run_prints_upstreams_command_where_there_is_no_fork(tmp_path: Path) -> None:
    run = tmp_path / "run"

    done = run_script("--training.steps", "20", DRY_RUN="1", RUN=str(run), FORK=str(tmp_path / "none"))

    assert done.returncode == 0, done.stderr
    assert "--data.max_samples 1280" in done.stdout
    assert "--vllm.gpu_memory_utilization 0.7" in done.stdout
    assert not run.exists()


def test_a_dry_run_prints_the_forks_command_where_it_is(tmp_path: Path) -> None:
    fork = fake_engine.install_fork(tmp_path / "fork")

    done = run_script(DRY_RUN="1", RUN=str(tmp_path / "run"), FORK=str(fork))

    assert done.returncode == 0, done.stderr
    assert "--remote_rm_url http://127.0.0.1:8000/classify" in done.stdout
    assert "--save_steps 10 " in done.stdout
    assert f"PYTHONPATH={fork}" in done.stdout


def test_missing_data_are_told_with_what_to_set(tmp_path: Path) -> None:
    done = run_script(RUN=str(tmp_path / "run"), DATA=str(tmp_path / "train.jsonl"), MEDEC=str(tmp_path / "none.csv"))

    assert done.returncode == 2
    assert "Set MEDEC to MEDEC's CSV" in done.stderr


@pytest.mark.slow
def test_the_script_starts_a_judge_trains_with_it_and_stops_it(tmp_path: Path) -> None:
    engine = fake_engine.install(tmp_path / "engine")
    data = tmp_path / "train.jsonl"
    write_jsonl(data, synthetic_records(6))
    url = f"http://127.0.0.1:{free_port()}"

    done = run_script(
        "--training.steps", "2", "--game.error_types",
        ENGINE="openrlhf", RUN=str(tmp_path / "run"), DATA=str(data), PYTHONPATH=str(engine),
        JUDGE_URL=url, JUDGE_OPTIONS="--judge reference", FAKE_ENGINE="",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "starting one (--judge reference)" in done.stderr
    assert "the judge is right on 8 of 8 known notes" in done.stderr
    assert "Stopping the judge that was started here" in done.stderr
    assert RunFolder.open(tmp_path / "run").final_path.is_dir()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health", trust_env=False)


def test_a_judge_that_cant_start_ends_the_script(tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    write_jsonl(data, synthetic_records(2))

    done = run_script(
        RUN=str(tmp_path / "run"), DATA=str(data), JUDGE_URL=f"http://127.0.0.1:{free_port()}",
        JUDGE_OPTIONS="--judge nobody",
    )  # fmt: skip

    assert done.returncode == 2
    assert "The judge ended before it was ready" in done.stderr
    assert not (tmp_path / "run").exists()
