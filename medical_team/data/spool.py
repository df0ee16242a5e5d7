"""Texts put aside on disk and read back by number, so that a data set of any size is built in flat memory."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Generator
from contextlib import contextmanager

from ..errors import OutputError

_BYTES_IN_MEMORY = 2 * 1024 * 1024


class Spool:
    """Texts on a temporary file that nobody else sees. Open one with :func:`open_spool`."""

    def __init__(self, file: tempfile.SpooledTemporaryFile[bytes]) -> None:
        self._file = file
        self._starts = array("Q", [0])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def append(self, text: str) -> int:
        """Put ``text`` aside. Returns its number.

        Raises:
            OutputError: the folder for temporary files is full or can't be written.
        """
        data = text.encode("utf-8")
        with _temporary_files():
            self._file.seek(self._starts[-1])
            self._file.write(data)
        self._starts.append(self._starts[-1] + len(data))
        return len(self) - 1

    def __getitem__(self, number: int) -> str:
        start, end = self._starts[number], self._starts[number + 1]
        with _temporary_files():
            self._file.seek(start)
            return self._file.read(end - start).decode("utf-8")


@contextmanager
def open_spool() -> Generator[Spool]:
    """A spool that is gone when the block ends. A small one never touches the disk."""
    with tempfile.SpooledTemporaryFile(max_size=_BYTES_IN_MEMORY) as file:
        yield Spool(file)


@contextmanager
def _temporary_files() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"can't use temporary files in {tempfile.gettempdir()}: {error.strerror or error}. "
            "Free space there, or name another folder in the environment variable TMPDIR."
        ) from error
