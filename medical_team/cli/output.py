"""Writing prose for a person: as it is into a file or a pipe, no wider than the window on a terminal."""

from __future__ import annotations

import shutil
import sys
from typing import IO

from ..terminal_text import folded


def say(text: str, stream: IO[str] | None = None) -> None:
    """Write ``text``, which ends its own lines, to ``stream``; without one, to standard output."""
    told: IO[str] = sys.stdout if stream is None else stream
    told.write(folded(text, window_width()) if told.isatty() else text)


def window_width() -> int:
    """The columns of the terminal: ``COLUMNS``, or what the window has, or 80."""
    return shutil.get_terminal_size().columns
