"""Tables of many small records, packed in compressed chunks that a browser unpacks one by one.

A page with 50,000 games opens fast because it reads the text of a game only when somebody looks at it.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

# Fast rather than small: text of notes shrinks to a third either way.
_LEVEL = 5


class ChunkedTable:
    """Rows of plain JSON values by number, kept compressed in memory ``chunk_rows`` at a time."""

    def __init__(self, chunk_rows: int) -> None:
        self.chunk_rows = chunk_rows
        self._sealed: list[bytes] = []
        self._open: list[Any] = []

    def __len__(self) -> int:
        return len(self._sealed) * self.chunk_rows + len(self._open)

    def append(self, row: Any) -> int:
        """Add ``row``. Returns its number."""
        number = len(self)
        self._open.append(row)
        if len(self._open) == self.chunk_rows:
            self._sealed.append(_packed(self._open))
            self._open = []
        return number

    def rows_from(self, start: int) -> list[Any]:
        """Rows from number ``start`` on, to the end of the chunk that holds it; empty past the last row."""
        chunk, first = divmod(start, self.chunk_rows)
        if chunk < len(self._sealed):
            return json.loads(gzip.decompress(self._sealed[chunk]))[first:]
        return self._open[first:] if chunk == len(self._sealed) else []

    def encoded_chunks(self) -> Iterator[str]:
        """Each chunk as base64 of the gzip of its JSON, in order."""
        for sealed in self._sealed:
            yield _encoded(sealed)
        if self._open:
            yield _encoded(_packed(self._open))


def _packed(rows: list[Any]) -> bytes:
    # No time stamp: the same run gives the same page. A lone surrogate has no UTF-8, so that JSON escapes stay.
    return gzip.compress(json.dumps(rows, separators=(",", ":"), allow_nan=False).encode(), _LEVEL, mtime=0)


def _encoded(packed: bytes) -> str:
    return base64.b64encode(packed).decode("ascii")
