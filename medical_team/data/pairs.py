"""Which notes belong together. From a note with an error to its case: the same note with and without the error,
consistent, the sentence found where it stands in its note. And near-duplicate groups: which notes are near-duplicates
of one another, wherever they stand in their files."""

from __future__ import annotations

import heapq
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from ..records import Note, NotePair, Source
from ..text_repair import find_alike, find_folded
from ..words import DIRECTION_MARKS, END_MARKS, fold_white_space, folded_words, joined, sentence_spans, words_of
from .reading_log import Repair


@dataclass(frozen=True)
class Correction:
    """What stands in the corrected note in the place of a part of the note."""

    start: int
    end: int
    sentence: str
    is_adjusted: bool
    """Whether the place or the sentence is another than the file gives."""

    def applied_to(self, text: str) -> str:
        """The corrected note."""
        return text[: self.start] + self.sentence + text[self.end :]


def corrections_of(text: str, error_sentence: str, corrected_sentence: str) -> list[Correction]:
    """All corrections of ``text`` that a file may mean by the two sentences, the likeliest first; none: no place."""
    exact = find_folded(error_sentence, text)
    found = [Correction(start, end, corrected_sentence, is_adjusted=False) for start, end in exact]
    loose = exact or find_alike(error_sentence, text)
    # The sentence may go on in the note where the file ends it.
    without_mark = loose or find_alike(error_sentence.rstrip(END_MARKS + DIRECTION_MARKS), text)
    for start, end in without_mark:
        found += [Correction(start, end, corrected_sentence, is_adjusted=True)] if not exact else []
        found += _with_other_marks(text, start, end, corrected_sentence)
    found += _of_whole_sentences(text, without_mark, corrected_sentence)
    return list(dict.fromkeys(found))


def likeness(one: str, other: str) -> float:
    """How many of their words two texts share, from 0 to 1."""
    return Indel.normalized_similarity(words_of(one), words_of(other))


def _with_other_marks(text: str, start: int, end: int, corrected: str) -> Iterator[Correction]:
    """The same place, with the sentence's end mark in both notes or in neither."""
    bare = corrected.rstrip(END_MARKS)
    if text[end - 1] in END_MARKS:
        yield Correction(start, end, bare + text[end - 1], is_adjusted=True)
    elif text[end : end + 1] in END_MARKS and text[end : end + 1]:
        yield Correction(start, end + 1, bare + text[end], is_adjusted=True)
    yield Correction(start, end, bare, is_adjusted=True)


def _of_whole_sentences(text: str, places: list[tuple[int, int]], corrected: str) -> Iterator[Correction]:
    """The sentences that hold ``places``: a file may name the wrong part and give the whole sentence right."""
    spans = sentence_spans(text)
    for start, end in places:
        for first, last in spans:
            if first <= start and end <= last and (first, last) != (start, end):
                yield Correction(first, last, corrected, is_adjusted=True)
                yield from _with_other_marks(text, first, last, corrected)


SYNTHETIC_PREFIX = "synthetic-"
"""Text ids of the synthetic notes start with this."""

MEDEC_PREFIXES = ("ms-", "uw-")
"""Text ids of MEDEC start with one of these: its two sources are MS and UW."""

LEAST_LIKENESS = 0.75
"""A corrected text that shares fewer of its words with the note is another note."""


class PairError(Exception):
    """Why a note with an error makes no case."""


def source_of(text_id: str) -> Source:
    """Where the note with ``text_id`` comes from."""
    if text_id.startswith(SYNTHETIC_PREFIX):
        return Source.SYNTHETIC
    return Source.MEDEC if text_id.lower().startswith(MEDEC_PREFIXES) else Source.OTHER


def make_pair(note: Note, near_duplicate_group: str, repairs: Counter[Repair], *, is_strict: bool = False) -> NotePair:
    """The case of ``note``, which has an error; what had to be mended is counted in ``repairs``.

    Args:
        is_strict: refuse a note whose corrected text differs by more than the sentence, instead of mending it.

    Raises:
        PairError: the parts of the note contradict each other.
    """
    wrong, right, corrected_text = note.error_sentence, note.corrected_sentence, note.corrected_text
    if not (note.has_error and note.error_type is not None and wrong and right and corrected_text):
        raise PairError("the note has no error, so there is no case")
    if fold_white_space(wrong) == fold_white_space(right):
        raise PairError("Error Sentence and Corrected Sentence are the same")
    if fold_white_space(note.text) == fold_white_space(corrected_text):
        raise PairError("Text and Corrected Text are the same")
    if find_folded(right, note.text):
        repairs[Repair.NOTICE_ALREADY_THERE] += 1
    corrections = corrections_of(note.text, wrong, right)
    if not corrections:
        raise PairError("Error Sentence does not occur in Text")
    correction = _likeliest(corrections, note.text, corrected_text, repairs, is_strict=is_strict)
    return NotePair(
        case_id=note.text_id,
        near_duplicate_group=near_duplicate_group,
        source=source_of(note.text_id),
        error_type=note.error_type,
        error_note=note.text,
        corrected_note=correction.applied_to(note.text),
        error_sentence=note.text[correction.start : correction.end],
        corrected_sentence=correction.sentence,
    )


def _likeliest(
    corrections: Sequence[Correction], text: str, corrected_text: str, repairs: Counter[Repair], *, is_strict: bool
) -> Correction:
    """The one of ``corrections`` that makes ``corrected_text``, or else comes close to it."""
    wanted = _without_white_space(corrected_text)
    for correction in corrections:
        corrected_note = correction.applied_to(text)
        if _without_white_space(corrected_note) == wanted:
            repairs.update([Repair.SENTENCE] * correction.is_adjusted)
            repairs.update([Repair.LAYOUT] * (corrected_note != corrected_text))
            return correction
    best = max(corrections, key=lambda correction: likeness(correction.applied_to(text), corrected_text))
    if likeness(best.applied_to(text), corrected_text) < LEAST_LIKENESS:
        raise PairError("Corrected Text is not Text with its Error Sentence corrected")
    if is_strict:
        raise PairError("Corrected Text differs from Text outside the corrected sentence")
    repairs[Repair.CORRECTED_TEXT] += 1
    return best


def _without_white_space(text: str) -> str:
    return "".join(text.split())


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
