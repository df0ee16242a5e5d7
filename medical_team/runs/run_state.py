"""How a run stands, read from its folder without touching it: still going, done, stopped, or cut off."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .folder import RunFolder

_HOLDER = re.compile(r"process (\d+) on (\S+)")

MAX_HOLDER_BYTES = 300


class RunState(str, Enum):
    """How a run stands."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    """Before its last step, in good order."""
    KILLED = "killed"
    """Its process ended without giving the run back: it was killed, or the machine stopped."""
    ELSEWHERE = "in use elsewhere"
    """Its lock names a process of another machine: it may be running there, or be a copy made while it ran."""


@dataclass(frozen=True)
class Traces:
    """What a run folder shows of how the run went."""

    state: RunState
    completed_steps: int
    total_steps: int
    abandoned_lines: int
    """Lines of steps that were cut off and played again."""


def traces_of(run: RunFolder, completed_steps: int) -> Traces:
    """Look at ``run``, of which ``completed_steps`` are on record."""
    total = run.total_steps
    return Traces(
        state=_state(run, is_complete=completed_steps >= total),
        completed_steps=completed_steps,
        total_steps=total,
        abandoned_lines=sum(_lines_in(path) for path in sorted((run.path / "abandoned").glob("*.jsonl"))),
    )


def _state(run: RunFolder, *, is_complete: bool) -> RunState:
    lock = run.path / "lock"
    try:
        with lock.open("rb") as file:
            holder = file.read(MAX_HOLDER_BYTES).decode(errors="replace")
            held = _holding_state(holder, file.fileno())
    except OSError:
        # No lock file, or not ours to read: a run of another engine, or a copy of the results alone.
        held = None
    if held is RunState.RUNNING:
        return held
    if is_complete:
        return RunState.FINISHED
    return held or RunState.STOPPED


def _holding_state(holder: str, handle: int) -> RunState | None:
    """What the lock file says; None when nobody holds it and the last who did gave it back."""
    match = _HOLDER.match(holder)
    if match is None:
        return None
    if match[2] != socket.gethostname():
        return RunState.ELSEWHERE
    # Only a lock whose process lives is tried, so that no starting process ever finds it taken by us.
    if not _is_alive(int(match[1])):
        return RunState.KILLED
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return RunState.RUNNING
    return RunState.KILLED


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _lines_in(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
