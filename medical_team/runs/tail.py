"""Following an append-only file of JSON lines while another process writes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ..errors import DataError
from ..jsonl import MAX_LINE_BYTES, from_line
from .package_versions import unreadable_line

LineT = TypeVar("LineT")

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
                        self._refuse_endless(line)
                        self.has_half_line = True
                        return
                    # A damaged line is not passed over: the next call stops at it again.
                    record = self._parsed(line, line_type) if line.strip() else None
                    self._remember(line)
                    if record is not None:
                        yield record
        except OSError as error:
            raise DataError(f"{self.path} can't be read:", [error.strerror or os.strerror(error.errno or 0)]) from error

    def _refuse_endless(self, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            problem = f"line {self._lines + 1} is longer than {MAX_LINE_BYTES} bytes"
            raise DataError(f"{self.path} can't be read:", [problem])

    def _remember(self, line: bytes) -> None:
        self._offset += len(line)
        self._lines += 1
        self._before = (self._before + line[-_REMEMBERED_BYTES:])[-_REMEMBERED_BYTES:]

    def _parsed(self, line: bytes, line_type: type[LineT]) -> LineT:
        try:
            return from_line(line, line_type)
        except ValidationError as error:
            raise unreadable_line(self.path, self._lines + 1, error) from error
