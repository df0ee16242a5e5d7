"""Writing files so that nothing half-written is ever seen: a temporary sibling, then one atomic rename.

A full disk, a missing permission or a path that is a folder becomes one clear :class:`.errors.OutputError`.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import DataError, MedicalTeamError, OutputError

_NO_ROOM = "Free space there or choose another place"
_NO_PERMISSION = "Ask for permission to write there or choose another place"
_REMEDIES = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: "The file system there can only be read: choose another place",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


_STREAMS = (Path("/dev/stdin"), Path("/dev/stdout"), Path("/dev/stderr"))
_NUMBERS = {"/dev/stdout": "1", "/dev/stderr": "2"}
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.([a-z0-9_]{8}(\.old)?|deleted)", re.DOTALL)
"""How :mod:`tempfile` calls what :func:`atomic_text` and :func:`atomic_folder` write until it is whole, and what
:func:`delete_folder` calls what it deletes."""
_RUST_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


@contextmanager
def atomic_text(path: Path) -> Generator[IO[str]]:
    """Open ``path`` for writing UTF-8; it appears, whole, when the block ends without an error.

    Through a link its target is written. A device, a pipe or a stream (``/dev/null``, ``/dev/stdout``) is written to as
    it is, since a file must never take its place; what a stream already holds (``>> file``) stays.

    Raises:
        OutputError: the file can't be written; nothing is left behind.
    """
    temporary: str | None = None
    try:
        if is_stream(path):
            with open(_opened(path), "w", encoding="utf-8", newline="\n") as file:  # noqa: PTH123
                yield file
            return
        if path == Path("-"):
            raise OutputError("can't write -: it names no file. /dev/stdout is standard output; nothing was changed.")
        # A new file would take the place of a link, and what it leads to would stay as it was.
        # Path.resolve raises no OSError at a loop of links.
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _give_permissions(Path(temporary), 0o666)
        Path(temporary).replace(path)
        temporary = None
    except MedicalTeamError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, replace: bool = True, within: Path | None = None) -> Generator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block ends without an error.

    A folder that is already at ``path`` is replaced: it is moved aside whole and deleted only when the new one stands.
    Without ``replace`` only an empty folder gives way; any other is an error. Through a link its target is written.

    Args:
        path: the folder to write.
        replace: whether it may take the place of another.
        within: a folder on the same disk for the temporary one, which somebody removes if this process is killed;
            without it, beside ``path``.

    Raises:
        OutputError: the folder can't be written; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=within or target.parent, prefix=f".{target.name}."))
        _give_permissions(temporary, 0o777)
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _give_permissions(file, 0o666)
                _sync(file)
        if replace:
            _replace_folder(target, temporary)
        else:
            temporary.rename(target)
        temporary = None
    except MedicalTeamError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
    except Exception as error:
        # Libraries written in Rust, such as safetensors, have errors of their own for what the system refused.
        if (refused := _refused_by_the_system(error)) is None:
            raise
        raise cannot_write(path, refused) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Check that :func:`atomic_folder` could write the folder ``path``, by what the system says to an empty folder
    where the first of it would be made; that is gone again at once.

    Raises:
        OutputError: it could not.
    """
    try:
        target = Path(os.path.realpath(path))
        # Without this a name that is too long would only be told where its parent is there.
        with suppress(FileNotFoundError):
            target.lstat()
        place = next(parent for parent in target.parents if parent.exists())
        Path(tempfile.mkdtemp(dir=place, prefix=f".{target.name}.")).rmdir()
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def one_at_a_time(folder: Path) -> Generator[None]:
    """Wait until no other process writes into ``folder`` under this, so that files which belong together stay so.

    A file system without locks gives none, and then nobody waits.

    Raises:
        OutputError: the folder can't be made or opened.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def delete_folder(path: Path) -> None:
    """Delete the folder ``path``, which is gone at once: a killed process leaves no half of it under its name.

    Raises:
        OutputError: it can't be deleted.
    """
    doomed = path.with_name(f".{path.name}.deleted")
    try:
        if doomed.exists():
            shutil.rmtree(doomed)
        path.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise OutputError(f"can't delete {path}: {error.strerror or error}. Check its permissions.") from error


def is_leftover(path: Path, pattern: str) -> bool:
    """Whether a process was killed while it wrote or deleted, by the functions above, what ``path`` was to become or
    had been: a file or a folder whose whole name matches the regular expression ``pattern``."""
    match = _TEMPORARY.fullmatch(path.name)
    return match is not None and re.fullmatch(pattern, match["name"]) is not None


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove each leftover of this ``pattern`` from ``folder``, which need not exist.

    Only for who holds the lock under which all of them are written: what another process writes looks the same.
    """
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if not is_leftover(entry, pattern):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            with suppress(OSError):
                entry.unlink()


def file_sha256(path: Path) -> str:
    """The SHA-256 of the file's bytes, in hexadecimal.

    Raises:
        DataError: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error that tells a person why ``path`` was not written."""
    if isinstance(error, OutputError):
        return error
    reason = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, "Choose another place")
    return OutputError(f"can't write {path}: {reason}. {remedy}; nothing was changed.")


def is_stream(path: Path) -> bool:
    """Whether ``path`` is no place for a file: a device, a pipe, or a stream of a process."""
    is_special = path.exists() and not path.is_file() and not path.is_dir()
    return is_special or path.is_relative_to("/dev/fd") or path in _STREAMS


def _opened(path: Path) -> Path | int:
    """What to open for ``path``: for a stream of this process a copy of its number.

    By its name a file behind it would be cut to nothing, and written from its beginning over what others write there.
    """
    number = _NUMBERS.get(str(path), path.name if path.parent == Path("/dev/fd") else "")
    return os.dup(int(number)) if number.isdecimal() else path


def _refused_by_the_system(error: Exception) -> OSError | None:
    """What the system refused, where ``error`` is that of a library written in Rust; None for any other error."""
    match = _RUST_SYSTEM_ERROR.search(str(error))
    return None if match is None else OSError(int(match[1]), os.strerror(int(match[1])))


def _replace_folder(path: Path, new: Path) -> None:
    if not path.is_dir():
        new.rename(path)
        return
    old = new.with_name(f"{new.name}.old")
    path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _give_permissions(path: Path, mode: int) -> None:
    # mkstemp and safetensors make files private; a data set or a checkpoint is shared like any other file. A file
    # system without permissions (CIFS, blobfuse) refuses, and then all files have the same anyway.
    with suppress(OSError):
        path.chmod(mode & ~_umask())
