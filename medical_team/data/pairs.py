"""From a note with an error to its case: the same note with and without the error, consistent in every part.

What a pair promises: ``error_sentence`` stands in ``error_note`` and ``corrected_sentence`` in ``corrected_note``, word
for word; and the notes differ in that sentence alone, white space included, so that nothing else tells which of the two
is right. Where the file's own corrected text differs elsewhere too, the pair of sentences decides.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..records import Note, NotePair, Source
from ..text_repair import find_folded, fold_white_space
from .corrections import Correction, corrections_of, differences, likeness
from .reading_log import Repair

SYNTHETIC_PREFIX = "synthetic-"
"""Text ids of the synthetic notes start with this."""

MEDEC_PREFIXES = ("ms-", "uw-")
"""Text ids of MEDEC start with one of these: its two sources are MS and UW."""

LEAST_LIKENESS = 0.75
"""A corrected text that shares fewer of its words with the note is another note."""


class PairError(Exception):
    """Why a note with an error makes no case."""


@dataclass(frozen=True)
class _ErrorCase:
    """The parts of a note that are only there in a note with an error."""

    text: str
    error_type: str
    error_sentence: str
    corrected_sentence: str
    corrected_text: str


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
    case = _error_case(note)
    if find_folded(case.corrected_sentence, case.text):
        repairs[Repair.NOTICE_ALREADY_THERE] += 1
    correction = _correction(case, repairs, is_strict)
    return NotePair(
        case_id=note.text_id,
        near_duplicate_group=near_duplicate_group,
        source=source_of(note.text_id),
        error_type=case.error_type,
        error_note=case.text,
        corrected_note=correction.applied_to(case.text),
        error_sentence=case.text[correction.start : correction.end],
        corrected_sentence=correction.sentence,
    )


def _error_case(note: Note) -> _ErrorCase:
    if (
        note.error_type is None
        or not note.error_sentence
        or not note.corrected_sentence
        or not note.corrected_text
        or not note.has_error
    ):
        raise PairError("the note has no error, so there is no case")
    case = _ErrorCase(note.text, note.error_type, note.error_sentence, note.corrected_sentence, note.corrected_text)
    if fold_white_space(case.error_sentence) == fold_white_space(case.corrected_sentence):
        raise PairError("Error Sentence and Corrected Sentence are the same")
    if fold_white_space(case.text) == fold_white_space(case.corrected_text):
        raise PairError("Text and Corrected Text are the same")
    return case


def _correction(case: _ErrorCase, repairs: Counter[Repair], is_strict: bool) -> Correction:
    """Where the error stands in the text, and what should stand there."""
    corrections = corrections_of(case.text, case.error_sentence, case.corrected_sentence)
    if not corrections:
        raise PairError("Error Sentence does not occur in Text")
    wanted = _without_white_space(case.corrected_text)
    for correction in corrections:
        corrected_note = correction.applied_to(case.text)
        if _without_white_space(corrected_note) == wanted:
            if correction.is_adjusted:
                repairs[Repair.SENTENCE] += 1
            if corrected_note != case.corrected_text:
                repairs[Repair.LAYOUT] += 1
            return correction
    best = max(corrections, key=lambda correction: likeness(correction.applied_to(case.text), case.corrected_text))
    expected = best.applied_to(case.text)
    if likeness(expected, case.corrected_text) < LEAST_LIKENESS:
        raise PairError("Corrected Text is not Text with its Error Sentence corrected")
    if is_strict:
        told = differences(expected, case.corrected_text)
        raise PairError(f"Corrected Text differs from Text outside the corrected sentence: {told}")
    repairs[Repair.CORRECTED_TEXT] += 1
    return best


def _without_white_space(text: str) -> str:
    return "".join(text.split())
