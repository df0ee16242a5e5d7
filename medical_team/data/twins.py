"""Near-duplicate groups: which notes of a file are near-duplicates of one another. Texts are put aside on disk and
read back by number, so that a data set of any size is built in flat memory."""

from __future__ import annotations

import hashlib
import heapq
import tempfile
import zlib
from array import array
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from rapidfuzz import fuzz

from ..errors import OutputError
from ..records import Note, Source
from ..words import folded_words, joined
from .pairs import source_of

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


TWIN_RATIO = 75.0
"""Percent, of rapidfuzz's normalised indel similarity."""

SHINGLE_WORDS = 5
SKETCH_SIZE = 8
"""The smallest hashes of a note's runs of ``SHINGLE_WORDS`` words. They alone find the validation file's 255 twins."""


class NearDuplicateGroups:
    """Groups that grow as notes are added, one by one, in the order of the file.

    Texts lie in ``spool``; what stays in memory is some bytes a note.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._spooled = array("q")
        self._parents = array("q")
        self._note_with_text: dict[int, int] = {}
        self._note_with_fingerprint: dict[int, int] = {}
        self._previous: tuple[int, str] | None = None

    def add(self, note: Note) -> int:
        """Take in ``note``. Returns its number: how many came before it."""
        number = len(self._parents)
        self._parents.append(number)
        self._spooled.append(-1)
        for text in filter(None, (note.text, note.corrected_text)):
            self._join_identical(number, text)
        if source_of(note.text_id) is not Source.SYNTHETIC:
            self._join_alike(number, folded_words(note.text))
        return number

    def groups(self) -> array[int]:
        """The group of each note, by the note's number: the number of the group's first note. For when all are in."""
        return array("q", map(self._first_of, range(len(self._parents))))

    def _join_identical(self, number: int, text: str) -> None:
        # A digest stands for the text, so that memory holds some bytes a note.
        digest = hashlib.blake2b(" ".join(folded_words(text)).encode(), digest_size=8).digest()
        self._join(number, self._note_with_text.setdefault(int.from_bytes(digest, "big"), number))

    def _join_alike(self, number: int, words: list[str]) -> None:
        text = joined(words)
        sketch = _sketch(words)
        candidates = {self._note_with_fingerprint[item] for item in sketch if item in self._note_with_fingerprint}
        if self._previous is not None:
            previous, previous_text = self._previous
            candidates.discard(previous)
            self._join_if_alike(number, text, previous, previous_text)
        for candidate in sorted(candidates):
            self._join_if_alike(number, text, candidate, self._spool[self._spooled[candidate]])
        self._spooled[number] = self._spool.append(text)
        self._note_with_fingerprint.update(dict.fromkeys(sketch, number))
        self._previous = (number, text)

    def _join_if_alike(self, number: int, text: str, other: int, other_text: str) -> None:
        if fuzz.ratio(text, other_text, score_cutoff=TWIN_RATIO) >= TWIN_RATIO:
            self._join(number, other)

    def _first_of(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def _join(self, one: int, other: int) -> None:
        first, second = sorted((self._first_of(one), self._first_of(other)))
        self._parents[second] = first


def group_sizes(groups: array[int]) -> array[int]:
    """How many notes each group has, by the group's number; 0 where the number is no group's."""
    sizes = array("q", bytes(8 * len(groups)))
    for group in groups:
        sizes[group] += 1
    return sizes


def _sketch(words: list[str]) -> list[int]:
    count = max(1, len(words) - SHINGLE_WORDS + 1)
    hashes: Iterable[int] = {
        zlib.crc32(" ".join(words[start : start + SHINGLE_WORDS]).encode()) for start in range(count)
    }
    return heapq.nsmallest(SKETCH_SIZE, hashes)
