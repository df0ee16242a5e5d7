"""One process at a time works in a run folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ..errors import RunFolderError
from ..files import cannot_write

MAX_HOLDER_BYTES = 300


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
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode()[:MAX_HOLDER_BYTES], 0)
    except OSError as error:
        raise cannot_write(path, error) from error


def _in_use(handle: int, path: Path) -> RunFolderError:
    holder = os.pread(handle, MAX_HOLDER_BYTES, 0).decode(errors="replace").strip() or "another process"
    return RunFolderError(
        f"{path.parent} is in use by {holder}. Wait until it ends or stop it, or train into another folder."
    )
