"""How a run stands, read from its folder without touching it: still going, done, stopped, or cut off."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from .folder import RunFolder
from .lock import Hold, hold_of


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
    # Without a lock file: a run of another engine, or a copy of the results alone.
    hold = hold_of(run.path / "lock")
    if hold is Hold.LIVING:
        return RunState.RUNNING
    if is_complete:
        return RunState.FINISHED
    return {Hold.DEAD: RunState.KILLED, Hold.ELSEWHERE: RunState.ELSEWHERE, None: RunState.STOPPED}[hold]


def _lines_in(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
