"""Append-only files of JSON lines: whole lines or none, going back to an earlier step without a trace, and followed
while another process writes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ..errors import DataError, RunFolderError
from ..files import cannot_write
from ..jsonl import MAX_LINE_BYTES, from_line, numbered_lines, shortened, validation_problems

CONFIG_FILE = "config.toml"
INFO_FILE = "run.json"
GAMES_FILE = "games.jsonl"
HELDOUT_GAMES_FILE = "heldout_games.jsonl"
METRICS_FILE = "metrics.jsonl"
FINAL_FOLDER = "final"

LineT = TypeVar("LineT")


@dataclass(frozen=True)
class _Spec:
    step: int


@dataclass(frozen=True)
class GameLine:
    """What going back needs of a line of games; its other fields are skipped."""

    spec: _Spec

    @property
    def step(self) -> int:
        """The step of the game."""
        return self.spec.step


@dataclass(frozen=True)
class StepLine:
    """What going back needs of a line of metrics; its other fields are skipped."""

    step: int


def append_lines(path: Path, lines: Iterable[str]) -> None:
    """Append ``lines``, each given without its newline, and flush them to the disk.

    Raises:
        OutputError: they can't be written; the file is as it was.
        RunFolderError: the file ends in a half-written line.
    """
    # A lone surrogate, which has no UTF-8, must not end a run; JSON can bring one in.
    append_bytes(path, ["".join(f"{line}\n" for line in lines).encode(errors="replace")])


def append_bytes(path: Path, chunks: Iterable[bytes]) -> None:
    """Append ``chunks``, which end with a newline, all or none; raises as :func:`append_lines` does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        length = os.fstat(handle).st_size
        if length and os.pread(handle, 1, length - 1) != b"\n":
            raise RunFolderError(
                f"{path} ends in a half-written line, left by a process that was killed. Resume the run with --resume, "
                "which moves that line to the folder `abandoned`, or train into another folder."
            )
        try:
            for chunk in chunks:
                _write_whole(handle, chunk)
            os.fsync(handle)
        except BaseException:
            os.ftruncate(handle, length)
            raise
    except RunFolderError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        os.close(handle)


def read_lines(path: Path, line_type: type[LineT]) -> Iterator[LineT]:
    """The records of ``path`` in order, in flat memory; none where there is no file.

    Raises:
        DataError: a line doesn't hold such a record.
    """
    if path.exists():
        for number, line in numbered_lines(path):
            yield _parsed(line, line_type, path, number)


def abandon_from(path: Path, abandoned: Path, step: int, line_type: type[GameLine] | type[StepLine]) -> int:
    """Move the lines from ``step`` on, and a half-written last line, to the end of ``abandoned``. Returns their number.

    They are safe in ``abandoned`` before ``path`` is cut. A process killed in between leaves them in both files,
    and the next call moves them again.

    Raises:
        DataError: an earlier line is broken, or the steps are out of order.
        OutputError: ``abandoned`` can't be written; ``path`` is as it was.
    """
    if not path.exists():
        return 0
    kept_bytes, moved = _kept_bytes(path, step, line_type)
    if moved:
        append_bytes(abandoned, _lines_from(path, kept_bytes))
        _cut(path, kept_bytes)
    return moved


def _write_whole(handle: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        # A nearly full disk takes a part; the next write then says why it takes no more.
        rest = rest[os.write(handle, rest) :]


def _parsed(line: bytes, line_type: type[LineT], path: Path, number: int) -> LineT:
    try:
        return from_line(line, line_type)
    except ValidationError as error:
        problems = [f"line {number}: {problem}" for problem in validation_problems(error)]
        raise DataError(f"{path} is damaged:", shortened(problems)) from error


def _kept_bytes(path: Path, step: int, line_type: type[GameLine] | type[StepLine]) -> tuple[int, int]:
    """How many bytes hold earlier steps, and how many lines follow."""
    kept_bytes = moved = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n") or _parsed(line, line_type, path, number).step >= step:
                moved += 1
            elif moved:
                problem = f"line {number}: it belongs to an earlier step than the line before"
                raise DataError(f"{path} is damaged:", [problem])
            else:
                kept_bytes += len(line)
    return kept_bytes, moved


def _lines_from(path: Path, start: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            yield line.removesuffix(b"\n") + b"\n"


def _cut(path: Path, length: int) -> None:
    try:
        with path.open("rb+") as file:
            file.truncate(length)
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


_REMEMBERED_BYTES = 256


class LineTail:
    """Gives each whole line of a file once. A half-written last line waits until it is whole.

    The file need not exist yet. A run that is resumed cuts its files back; :attr:`is_cut` then says that what was read
    no longer holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.has_half_line = False
        """Whether the file ended, when last read, in a line without its end."""
        self._offset = 0
        self._lines = 0
        self._before = b""

    @property
    def remark(self) -> str:
        """A sentence on the half-written line, with a newline before it; empty where there was none."""
        if not self.has_half_line:
            return ""
        remedy = "where nothing trains there, --resume moves it away"
        return f"\nLeft out: the half-written last line of {self.path}; {remedy}."

    @property
    def is_cut(self) -> bool:
        """Whether the file no longer begins with what was read of it."""
        if not self._offset:
            return False
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset - len(self._before))
                return file.read(len(self._before)) != self._before
        except FileNotFoundError:
            return True

    def read(self, line_type: type[LineT]) -> Iterator[LineT]:
        """The records of the lines that are new since the last call, in flat memory.

        Raises:
            DataError: a line doesn't hold such a record, or the file can't be read.
        """
        self.has_half_line = False
        try:
            if not self.path.exists():
                return
            with self.path.open("rb") as file:
                file.seek(self._offset)
                while line := file.readline(MAX_LINE_BYTES + 1):
                    if not line.endswith(b"\n"):
                        if len(line) > MAX_LINE_BYTES:
                            raise DataError(
                                f"{self.path} can't be read:", [f"line {self._lines + 1} is longer than any of ours"]
                            )
                        self.has_half_line = True
                        return
                    # A damaged line is not passed over: the next call stops at it again.
                    record = _parsed(line, line_type, self.path, self._lines + 1) if line.strip() else None
                    self._offset += len(line)
                    self._lines += 1
                    self._before = (self._before + line)[-_REMEMBERED_BYTES:]
                    if record is not None:
                        yield record
        except OSError as error:
            raise DataError(f"{self.path} can't be read:", [error.strerror or str(error)]) from error
