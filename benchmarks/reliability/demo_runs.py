"""Small runs of the demo for campaigns, as processes that begin at once, and whether two runs are equal to the bit."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from campaign import REPOSITORY

from medical_team.cli.main import main as command_line
from medical_team.data.synthetic.demo_world import heldout_records, played_records
from medical_team.jsonl import write_jsonl

MEASURED = ("seconds/", "speed/", "memory/", "disk/")
"""Metrics of the machine, which no two runs share."""

STEPS = 4
GAMES_PER_STEP = 6
SMALL = {
    "training.steps": STEPS,
    "training.games_per_step": GAMES_PER_STEP,
    "checkpoints.save_every": 1,
    "checkpoints.evaluate_every": 2,
    "checkpoints.evaluation_games": 4,
    "checkpoints.keep_last": 2,
}
ARMS: dict[str, dict[str, object]] = {
    "plain": {},
    "opponents": {"opponents.add_every": 1, "opponents.size": 2, "opponents.share": 0.7, "opponents.fixed": "demo"},
    "separate": {"policy.roles": "separate", "opponents.add_every": 2, "checkpoints.save_every": 2},
    "vllm": {"rollout.engine": "vllm", "rollout.max_revision_tokens": 24, "rollout.max_prompt_tokens": 1024},
}


def arguments_of(arm: str, folder: Path, **more: object) -> list[str]:
    """Arguments of ``train`` for a small run of ``arm``; its data are written into ``folder``."""
    data = folder / "data"
    if not (data / "train.jsonl").exists():
        heldout = [record for records in heldout_records(1, 8).values() for record in records]
        write_jsonl(data / "heldout.jsonl", heldout)
        write_jsonl(data / "train.jsonl", [*played_records(24, 7)])
    values = {"data.train": data / "train.jsonl", "data.heldout": data / "heldout.jsonl", **SMALL, **ARMS[arm]}
    if arm == "vllm":
        values["policy.model"] = _model_for_vllm(folder)
    values |= {name.replace("__", "."): value for name, value in more.items()}
    return [
        "train",
        "--preset",
        "demo",
        *(text for name, value in values.items() for text in (f"--{name}", str(value))),
    ]


class Process:
    """``medical-team`` with ``arguments`` in a process of its own, its output in ``log``.

    The process is forked from this one, which has imported everything and computed nothing, so that moments at which it
    is killed fall into its work and not into its imports. With ``is_fresh`` it is a new interpreter.
    """

    def __init__(self, arguments: Sequence[str], log: Path, *, is_fresh: bool = False, cwd: Path | None = None) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        self.started = time.monotonic()
        self._fresh: subprocess.Popen[bytes] | None = None
        self.status: int | None = None
        if is_fresh:
            environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
            with log.open("wb") as file:
                self._fresh = subprocess.Popen(
                    [sys.executable, "-m", "medical_team", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    env=environment,
                    cwd=cwd,
                    start_new_session=True,
                )
            self.id = self._fresh.pid
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self.id = os.fork()
        if self.id == 0:
            _become(arguments, log, cwd)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self.status is None:
            if self._fresh is not None:
                self.status = self._fresh.poll()
            else:
                found, status = os.waitpid(self.id, os.WNOHANG)
                self.status = os.waitstatus_to_exitcode(status) if found else None
        return self.status

    def wait(self, seconds: float = 600.0) -> int | None:
        """Wait for the end, at most so long; the exit status, None where it goes on."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        return self.status

    def kill(self, signal_number: int) -> None:
        """Send a signal to it, and to the processes that it has started."""
        if self._fresh is not None:
            os.killpg(self.id, signal_number)
        else:
            os.kill(self.id, signal_number)

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


def import_all() -> None:
    """Import what training imports, so that forked processes have it."""
    for name in ("cli.train", "report.listeners", "train.session"):
        importlib.import_module(f"medical_team.{name}")


def differences(one: Path, other: Path) -> list[str]:
    """In what the runs ``one`` and ``other`` differ: games, metrics, weights, the optimizer's state, past selves."""
    found = [
        name
        for name in ("games.jsonl", "heldout_games.jsonl")
        if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    if metrics_of(one) != metrics_of(other):
        found.append("metrics.jsonl")
    ours, theirs = weights_of(one), weights_of(other)
    found += sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    found += [f"left behind: {path.relative_to(other)}" for path in sorted(other.rglob(".*"))]
    return found


def metrics_of(run: Path) -> list[dict[str, Any]]:
    """The metrics, without those of the machine."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        {"step": line["step"]}
        | {name: value for name, value in line["values"].items() if not name.startswith(MEASURED)}
        for line in lines
    ]


def weights_of(run: Path) -> dict[str, str]:
    """The hash of each file of weights."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.rglob("*.safetensors"))
    }


def lost_games(run: Path) -> list[str]:
    """Games put aside that are not in the run as they were, so that a resume played something else."""
    aside = run / "abandoned" / "games.jsonl"
    if not aside.exists():
        return []
    kept = {json.loads(line)["spec"]["id"]: line for line in (run / "games.jsonl").read_bytes().splitlines()}
    lost: list[str] = []
    for line in aside.read_bytes().splitlines():
        try:
            name = json.loads(line)["spec"]["id"]
        except ValueError:
            continue  # the line at which the process was killed
        if kept.get(name) != line:
            lost.append(name)
    return lost


def _become(arguments: Sequence[str], log: Path, cwd: Path | None) -> None:
    """Be the command until the end."""
    status = 70
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        if cwd is not None:
            os.chdir(cwd)
        status = command_line(arguments)
    except BaseException:  # noqa: BLE001 - as the interpreter does at its top
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _model_for_vllm(folder: Path) -> Path:
    path = folder / "model"
    if not path.exists():
        sys.path.insert(0, str(REPOSITORY / "tests" / "policy"))
        from vllm_cases import save_model

        save_model(path)
    return path
