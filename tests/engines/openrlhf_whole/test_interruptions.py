"""What happens when something is stopped in the middle: the run by Ctrl-C, the judge by force."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import httpx
from whole_run import WholeRun, ended, environment, wait_for

from local_server import free_port
from medical_team.engines.checkpoint_import import last_resumable_step
from medical_team.engines.process import processes_of
from medical_team.records import GameState


def test_a_run_that_was_stopped_goes_on_from_its_checkpoint(policy: Path, tmp_path: Path) -> None:
    changes = {"save_every = 100": "save_every = 1", "sleep = false": "sleep = false\nsave_optimizer = true"}
    run = WholeRun(tmp_path / "run", policy, changes)
    process = run.start()
    wait_for(lambda: run.path.is_dir() and (last_resumable_step(run.folder) or 0) >= 1, process)
    process.send_signal(signal.SIGINT)

    assert ended(process) == 130
    assert "Go on after step" in run.words
    assert processes_of(run.path) == []
    assert not (run.path / "final").exists()

    assert ended(run.resume()) == 0, run.words[-4000:]
    assert [line.step for line in run.folder.metrics()] == [0, 1, 2]
    ids = [game.spec.id for game in run.folder.games()]
    assert len(ids) == len(set(ids)) >= 3 * 8
    assert max(map(abs, run.curve("vllm_kl"))) < 0.005
    assert run.is_finite


def test_a_judge_that_is_killed_and_comes_back_costs_no_game(policy: Path, tmp_path: Path) -> None:
    run = WholeRun(tmp_path / "run", policy)
    port = free_port()
    run.changes = {"[engine]": f'[judge]\nkind = "remote"\nurl = "http://127.0.0.1:{port}"\n\n[engine]'}
    with a_judge(port) as judge:
        process = run.start()
        wait_for(lambda: any((run.path / "engine").glob("games-*.jsonl")), process)
        judge.kill()
        judge.wait()
    time.sleep(5)
    assert process.poll() is None
    with a_judge(port):
        assert ended(process) == 0, run.words[-4000:]

    assert [line.step for line in run.folder.metrics()] == [0, 1, 2]
    assert [game.reason for game in run.folder.games() if game.state is GameState.VOID] == []


@contextlib.contextmanager
def a_judge(port: int) -> Generator[subprocess.Popen[bytes]]:
    """`medical-team judge serve` at ``port``, a process of its own."""
    words = [sys.executable, "-m", "medical_team", "judge", "serve", "--judge", "reference", "--references", "demo"]
    process = subprocess.Popen(
        [*words, "--port", str(port)], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            assert process.poll() is None
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200:
                    break
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.wait()
