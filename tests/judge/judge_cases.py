"""A case for the judge's tests: a whole note of invented content, with and without its error."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from medical_team.data.medec import read_medec
from medical_team.data.pairs import make_pair
from medical_team.data.reading_log import ReadingLog
from medical_team.records import ErrorType, NotePair, Source

NOTE = (
    "A 34-year-old woman comes to the physician because of a cough and a fever for 3 days. Her sister had a rash. "
    "She takes lisinopril 10 mg daily and has no allergies. Her temperature is 38.5 C (101.3 F), pulse is 104/min, and "
    "blood pressure is 118/76 mm Hg. The abdomen is soft and nontender. There is dullness over the left lung. "
    "Cardiac examination shows no murmurs. {diagnosis} She is started on oral amoxicillin."
)
ERROR_SENTENCE = "The diagnosis is pulmonary embolism."
CORRECTED_SENTENCE = "The diagnosis is lobar pneumonia."

ERROR_NOTE = NOTE.format(diagnosis=ERROR_SENTENCE)
CORRECTED_NOTE = NOTE.format(diagnosis=CORRECTED_SENTENCE)

CASE = NotePair(
    case_id="case-1",
    near_duplicate_group="case-1",
    source=Source.MEDEC,
    error_type=ErrorType.DIAGNOSIS,
    error_note=ERROR_NOTE,
    corrected_note=CORRECTED_NOTE,
    error_sentence=ERROR_SENTENCE,
    corrected_sentence=CORRECTED_SENTENCE,
)


def medec_pairs(path: Path) -> list[NotePair]:
    """The error cases of a MEDEC file."""
    notes = read_medec(path, ReadingLog())
    return [make_pair(note, note.text_id, Counter()) for note in notes if note.has_error]
