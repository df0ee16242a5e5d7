"""From a note with an error to its case: the same note with and without the error, consistent in every part.

What a pair promises: ``error_sentence`` stands in ``error_note`` and ``corrected_sentence`` in ``corrected_note``, word
for word; the notes differ; and where the file allows it the notes differ in that sentence alone, white space included,
so that layout never tells which of the two is right.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..records import Note, NotePair, Source
from ..text_repair import find_folded, fold_white_space
from .medec import Repair

SYNTHETIC_PREFIX = "synthetic-"
"""Text ids of the synthetic notes start with this."""


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
    return Source.SYNTHETIC if text_id.startswith(SYNTHETIC_PREFIX) else Source.MEDEC


def make_pair(note: Note, near_duplicate_group: str, repairs: Counter[Repair]) -> NotePair:
    """The case of ``note``, which has an error; what had to be mended is counted in ``repairs``.

    Raises:
        PairError: the parts of the note contradict each other.
    """
    case = _error_case(note)
    if find_folded(case.corrected_sentence, case.text):
        repairs[Repair.NOTICE_ALREADY_THERE] += 1
    error_sentence, corrected_sentence, corrected_note = _consistent(case, repairs)
    return NotePair(
        case_id=note.text_id,
        near_duplicate_group=near_duplicate_group,
        source=source_of(note.text_id),
        error_type=case.error_type,
        error_note=case.text,
        corrected_note=corrected_note,
        error_sentence=error_sentence,
        corrected_sentence=corrected_sentence,
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


def _consistent(case: _ErrorCase, repairs: Counter[Repair]) -> tuple[str, str, str]:
    """The error sentence and the corrected sentence as their notes have them, and the corrected note."""
    places = find_folded(case.error_sentence, case.text)
    if not places:
        raise PairError("Error Sentence does not occur in Text")
    wanted = _without_white_space(case.corrected_text)
    for start, end in places:
        corrected_note = case.text[:start] + case.corrected_sentence + case.text[end:]
        if _without_white_space(corrected_note) == wanted:
            if corrected_note != case.corrected_text:
                repairs[Repair.LAYOUT] += 1
            return case.text[start:end], case.corrected_sentence, corrected_note
    corrected_places = find_folded(case.corrected_sentence, case.corrected_text)
    if not corrected_places:
        raise PairError("Corrected Text is not Text with its Error Sentence corrected")
    repairs[Repair.NOTICE_ELSEWHERE] += 1
    (start, end), (corrected_start, corrected_end) = places[0], corrected_places[0]
    return case.text[start:end], case.corrected_text[corrected_start:corrected_end], case.corrected_text


def _without_white_space(text: str) -> str:
    return "".join(text.split())
