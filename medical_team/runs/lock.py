"""The lock of a run, by which one process at a time works in it, and what others read from its folder without touching
it: whether it is still going, done, stopped, or cut off."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RunFolderError
from ..files import cannot_write

if TYPE_CHECKING:
    from .folder import RunFolder

_HOLDER = re.compile(r"process (\d+) on (\S+)")
_MAX_HOLDER_BYTES = 300


@contextmanager
def exclusive_lock(path: Path) -> Generator[None]:
    """Hold the lock file ``path`` while the block runs.

    Raises:
        RunFolderError: another process holds it, or the file system has no locks.
        OutputError: the lock file can't be written.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        _take(handle, path)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _take(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise _in_use(handle, path) from error
        reason = error.strerror or str(error)
        raise RunFolderError(f"can't lock {path}: {reason}. Put the run on a disk of this machine.") from error
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode()[:_MAX_HOLDER_BYTES], 0)
    except OSError as error:
        raise cannot_write(path, error) from error


def _in_use(handle: int, path: Path) -> RunFolderError:
    holder = os.pread(handle, _MAX_HOLDER_BYTES, 0).decode(errors="replace").strip() or "another process"
    return RunFolderError(
        f"{path.parent} is in use by {holder}. Wait until it ends or stop it, or name another folder."
    )


class Hold(Enum):
    """What a lock file says of the process that took it and didn't give it back."""

    LIVING = "it works here"
    DEAD = "it was killed, or the machine stopped"
    ELSEWHERE = "it is one of another machine: it may live there, or the file is a copy"


def hold_of(path: Path) -> Hold | None:
    """How the lock file ``path`` is held; None where it was given back, isn't there, or isn't ours to read."""
    try:
        with path.open("rb") as file:
            return _hold(file.read(_MAX_HOLDER_BYTES).decode(errors="replace"), file.fileno())
    except OSError:
        return None


def _hold(holder: str, handle: int) -> Hold | None:
    match = _HOLDER.match(holder)
    if match is None:
        return None
    if match[2] != socket.gethostname():
        return Hold.ELSEWHERE
    # Only a lock whose process lives is tried, so that no starting process ever finds it taken by us.
    if not _is_alive(int(match[1])):
        return Hold.DEAD
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return Hold.LIVING
    return Hold.DEAD


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


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
