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
    state = _held_as(run.path / "lock")
    if completed_steps >= total and state is not RunState.RUNNING:
        state = RunState.FINISHED
    return Traces(state, completed_steps, total, sum(map(_lines_in, run.abandoned_path.glob("*.jsonl"))))


def _lines_in(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _held_as(path: Path) -> RunState:
    """How a run stands by its lock file, which a run of another engine and a copy of the results don't have."""
    try:
        with path.open("rb") as file:
            match = _HOLDER.match(file.read(_MAX_HOLDER_BYTES).decode(errors="replace"))
            if match is None:
                return RunState.STOPPED
            if match[2] != socket.gethostname():
                return RunState.ELSEWHERE
            # Only a lock whose process lives is tried, so that no starting process ever finds it taken by us.
            if not _is_alive(int(match[1])):
                return RunState.KILLED
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return RunState.RUNNING
            return RunState.KILLED
    except OSError:
        return RunState.STOPPED


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
