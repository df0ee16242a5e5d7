"""Where the sentence with the error stands in its note, and what stands there in the corrected note.

Files of other hands give a sentence without the full stop that it has in the note, with other quotation marks, or only
the part of it that is wrong; and corrected texts lose or gain a word elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rapidfuzz.distance import Indel

from ..sentences import END_MARKS, sentence_spans
from ..text_repair import find_alike, find_folded
from ..words import joined, words_of

_DIFFERENCES_SHOWN = 3


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
    without_mark = loose or find_alike(error_sentence.rstrip(END_MARKS), text)
    for start, end in without_mark:
        found += [Correction(start, end, corrected_sentence, is_adjusted=True)] if not exact else []
        found += _with_other_marks(text, start, end, corrected_sentence)
    found += _of_whole_sentences(text, without_mark, corrected_sentence)
    return list(dict.fromkeys(found))


def likeness(one: str, other: str) -> float:
    """How many of their words two texts share, from 0 to 1."""
    return Indel.normalized_similarity(words_of(one), words_of(other))


def differences(before: str, after: str) -> str:
    """What ``after`` lost and gained, for a person to read."""
    told: list[str] = []
    lost: list[str] = []
    gained: list[str] = []
    old, new = words_of(before), words_of(after)
    for operation in [*Indel.opcodes(old, new), None]:
        if operation is not None and operation.tag != "equal":
            lost += old[operation.src_start : operation.src_end]
            gained += new[operation.dest_start : operation.dest_end]
        elif lost or gained:
            told.append(_difference(joined(lost), joined(gained)))
            lost, gained = [], []
    return ", ".join([*told[:_DIFFERENCES_SHOWN], *(["..."] if len(told) > _DIFFERENCES_SHOWN else [])])


def _difference(lost: str, gained: str) -> str:
    if lost and gained:
        return f"{lost!r} became {gained!r}"
    return f"lost {lost!r}" if lost else f"gained {gained!r}"


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
