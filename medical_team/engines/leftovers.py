"""Processes of an engine that outlive it for a while, such as a worker of vLLM, and still hold memory of a GPU."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from ..callbacks import Notify
from .command import RUN_VARIABLE

WAITED_SECONDS = 20.0
_TICK_SECONDS = 0.2
_PROCESSES = Path("/proc")


def processes_of(run: Path) -> list[int]:
    """The processes of this machine that were started for ``run``; none where the system doesn't tell (not Linux)."""
    mark = f"{RUN_VARIABLE}={run}".encode()
    found: list[int] = []
    for folder in _PROCESSES.glob("[0-9]*"):
        # Other users' processes can't be read, and processes end while they are looked at.
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return sorted(found)


def wait_for_leftovers(
    run: Path, notify: Notify, seconds: float = WAITED_SECONDS, find: Callable[[Path], list[int]] = processes_of
) -> None:
    """Wait until no process of ``run`` is left, at most so many ``seconds``; then say which still are there."""
    due = time.monotonic() + seconds
    while left := find(run):
        if time.monotonic() >= due:
            numbers = " ".join(map(str, left))
            notify(
                f"warning: the engine has ended, but processes of it still run and may hold a GPU: {numbers}. "
                f"They mostly end by themselves; before another start, look with `ps {numbers}`, and end them with "
                f"`kill {numbers}`"
            )
            return
        time.sleep(_TICK_SECONDS)
