"""Near-duplicate groups: which notes are near-duplicates of one another, wherever they stand in their files."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable

from rapidfuzz import fuzz

from ..records import Note, Source
from ..words import folded_words, joined
from .pairs import source_of

TWIN_RATIO = 75.0
"""Percent, of rapidfuzz's normalised indel similarity."""

SHINGLE_WORDS = 5
SKETCH_SIZE = 8
"""The smallest hashes of a note's runs of ``SHINGLE_WORDS`` words. They alone find the validation file's 255 twins."""


def near_duplicate_groups(notes: Iterable[Note]) -> list[int]:
    """The group of each note: the place of the group's first note among ``notes``."""
    groups = _Groups()
    for note in notes:
        groups.add(note)
    return [groups.first_of(number) for number in range(len(groups.parents))]


class _Groups:
    """Groups that grow as notes are added, in order: each note is compared with the one before, and with those that
    share a rare run of words with it."""

    def __init__(self) -> None:
        self.parents: list[int] = []
        self._words: dict[int, str] = {}
        self._note_with_text: dict[str, int] = {}
        self._note_with_fingerprint: dict[int, int] = {}

    def add(self, note: Note) -> None:
        number = len(self.parents)
        self.parents.append(number)
        for text in filter(None, (note.text, note.corrected_text)):
            self._join(number, self._note_with_text.setdefault(" ".join(folded_words(text)), number))
        if source_of(note.text_id) is not Source.SYNTHETIC:
            self._join_alike(number, folded_words(note.text))

    def first_of(self, number: int) -> int:
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number

    def _join_alike(self, number: int, words: list[str]) -> None:
        text = joined(words)
        sketch = _sketch(words)
        candidates = {self._note_with_fingerprint[item] for item in sketch if item in self._note_with_fingerprint}
        if self._words:
            candidates.add(next(reversed(self._words)))
        for candidate in candidates:
            if fuzz.ratio(text, self._words[candidate], score_cutoff=TWIN_RATIO) >= TWIN_RATIO:
                self._join(number, candidate)
        self._words[number] = text
        self._note_with_fingerprint.update(dict.fromkeys(sketch, number))

    def _join(self, one: int, other: int) -> None:
        first, second = sorted((self.first_of(one), self.first_of(other)))
        self.parents[second] = first


def _sketch(words: list[str]) -> list[int]:
    count = max(1, len(words) - SHINGLE_WORDS + 1)
    hashes = {zlib.crc32(" ".join(words[start : start + SHINGLE_WORDS]).encode()) for start in range(count)}
    return heapq.nsmallest(SKETCH_SIZE, hashes)
