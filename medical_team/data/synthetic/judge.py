"""Whether a synthetic note contains an error: known exactly, by the table that made the notes.

The findings of the note tell the condition; every fact that the note states is then right, wrong, or nothing that the
table knows about. Whatever an attacker writes is judged by what it says, never by what it was made from: a note of
which a part is outside the language, or whose findings fit no condition or more than one, is not guessed at.

The table is of our own writing, simplified, and no medical advice: "error" means "contradicts the table".
"""

from __future__ import annotations

from collections.abc import Iterator

from ...judge.protocol import Finding
from .facts import Standing, cautions_of, rule_on_fact
from .language import FACT_KINDS, SentenceKind
from .reader import MAX_NOTE_CHARACTERS, SyntheticReading, read_note
from .table import Condition, medical_table

_SHOWN_WORDS = 8
_SHOWN_CHARACTERS = 20
_SHOWN_CONDITIONS = 4


def decide_synthetic(note: str) -> Finding:
    """Whether ``note`` contains an error, by the table of the synthetic notes. Raises on no text."""
    reading = read_note(note)
    if reading.is_too_long:
        # The judge's own limit, and no word on what the attacker wrote.
        return Finding(None, f"the note is longer than {MAX_NOTE_CHARACTERS} characters", is_failure=True)
    if problem := next(_problems_of_reading(reading), None):
        return Finding(None, problem)
    condition = _condition(reading)
    if isinstance(condition, Finding):
        return condition
    if problem := next(_problems_of_condition(reading, condition), None):
        return Finding(None, problem)
    return _decide_facts(reading, condition)


def _decide_facts(reading: SyntheticReading, condition: Condition) -> Finding:
    cautions = _cautions(reading)
    facts = [sentence for sentence in reading.sentences if sentence.kind in FACT_KINDS]
    rulings = [rule_on_fact(sentence, condition, cautions) for sentence in facts]
    for standing, error_present in ((Standing.WRONG, True), (Standing.UNCLEAR, None)):
        for sentence, ruling in zip(facts, rulings, strict=True):
            if ruling.standing is standing:
                error_type = FACT_KINDS[sentence.kind] if error_present else None
                return Finding(error_present, ruling.reason, error_type=error_type)
    if not facts:
        return Finding(False, f"the findings tell {condition.name}, and the note states nothing else to be wrong")
    return Finding(False, f"all that the note states is right for {condition.name}")


def _problems_of_reading(reading: SyntheticReading) -> Iterator[str]:
    """Why the note can't be judged whatever the condition: words, the patient, a history that it can't have."""
    if reading.unread:
        shown = " ".join(word[:_SHOWN_CHARACTERS] for word in reading.unread[:_SHOWN_WORDS])
        yield f"{len(reading.unread)} words are outside the language of the synthetic notes: {shown!a}"
    if reading.is_ambiguous:
        yield "the note can be read in more than one way"
    if len(reading.sexes) > 1:
        yield "the note contradicts itself about the patient's sex"
    ages = _ages(reading)
    if len(ages) > 1:
        yield "the note contradicts itself about the patient's age"
    for name in sorted(_cautions(reading)):
        caution = medical_table().cautions[name]
        if any(not caution.fits(age, reading.sex) for age in ages):
            yield f"{caution.text} does not fit the patient"


def _cautions(reading: SyntheticReading) -> frozenset[str]:
    return cautions_of([sentence.fact for sentence in reading.of_kind(SentenceKind.BACKGROUND)])


def _condition(reading: SyntheticReading) -> Condition | Finding:
    """The one condition that all findings fit, or why there is none."""
    table = medical_table()
    if not reading.findings:
        return Finding(None, "the note states no finding that could tell the condition")
    candidates = sorted(table.candidates(reading.findings))
    if not candidates:
        return Finding(None, "the findings contradict each other: no condition has all of them")
    if len(candidates) > 1:
        more = len(candidates) - _SHOWN_CONDITIONS
        shown = ", ".join(candidates[:_SHOWN_CONDITIONS]) + (f" and {more} more" if more > 0 else "")
        return Finding(None, f"too few findings: they fit {shown}")
    return table.conditions[candidates[0]]


def _problems_of_condition(reading: SyntheticReading, condition: Condition) -> Iterator[str]:
    """Why the note can't be judged, though its findings tell the condition: the patient can't have it, or it states a
    fact in two ways, so that nobody knows which one holds."""
    lowest, highest = condition.ages
    if any(not lowest <= age <= highest for age in _ages(reading)):
        yield f"the findings tell {condition.name}, which does not fit the patient's age"
    if condition.sex is not None and reading.sex not in (None, condition.sex):
        yield f"the findings tell {condition.name}, which does not fit the patient's sex"
    for kind, error_type in FACT_KINDS.items():
        if len({sentence.values for sentence in reading.of_kind(kind)}) > 1:
            yield f"the note states two different facts about {error_type.value}"


def _ages(reading: SyntheticReading) -> frozenset[int]:
    return frozenset(int(sentence.value("age")) for sentence in reading.of_kind(SentenceKind.PATIENT))
