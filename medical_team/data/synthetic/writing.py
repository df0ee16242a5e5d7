"""What is written: synthetic notes as a CSV file with MEDEC's columns and conventions, and all their words."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ...errors import UsageError
from ...files import atomic_text
from ..medec import NOT_APPLICABLE
from ..pairs import SYNTHETIC_PREFIX
from ..tables import COLUMNS
from .cases import DIASTOLIC, PULSES, SYSTOLIC, TEMPERATURES, SyntheticCase, synthetic_cases, temperature_text
from .facts import dose_text, wrong_doses
from .language import WORDINGS, Sentence, render_sentence
from .reader import slot_phrases
from .table import Sex, medical_table

_SLOT = re.compile(r"\{\w+\}")


def write_synthetic_csv(path: Path, notes: int, seed: int) -> None:
    """Write ``notes`` rows to ``path``, which appears only when all are written.

    A note with an error is followed by its twin, the note without it; an odd number ends with a note with an error. The
    same arguments give the same bytes. Memory doesn't grow with the number of notes.

    Args:
        path: the CSV file.
        notes: how many rows, at least 1.
        seed: what the notes are drawn from.

    Raises:
        UsageError: the number of notes is out of bounds.
        OutputError: the file can't be written.
    """
    if notes < 1:
        raise UsageError(f"{notes} synthetic notes are wanted, expected at least 1")
    cases = synthetic_cases((notes + 1) // 2, seed)
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for case in cases:
            writer.writerows(_rows(case, notes))


def _rows(case: SyntheticCase, notes: int) -> Iterator[tuple[str, ...]]:
    number = 2 * case.number
    yield (
        f"{SYNTHETIC_PREFIX}{number:06d}",
        case.error_note,
        _numbered(case.error_sentences, case.sex),
        "1",
        case.error_type.value,
        str(case.error_index),
        case.error_sentence,
        case.corrected_sentence,
        case.corrected_note,
    )
    if number + 1 < notes:
        yield (
            f"{SYNTHETIC_PREFIX}{number + 1:06d}",
            case.corrected_note,
            _numbered(case.corrected_sentences, case.sex),
            "0",
            NOT_APPLICABLE,
            "-1",
            NOT_APPLICABLE,
            NOT_APPLICABLE,
            NOT_APPLICABLE,
        )


def _numbered(sentences: Sequence[Sentence], sex: Sex) -> str:
    return "\n".join(f"{number} {render_sentence(sentence, sex)}" for number, sentence in enumerate(sentences))


def several_words() -> list[str]:
    """What stands in the slots of sentences and is longer than a word, the longest first."""
    phrases = {phrase for phrases in slot_phrases().values() for phrase in phrases if " " in phrase}
    return sorted(phrases, key=lambda phrase: (-len(phrase), phrase))


def written_texts() -> Iterator[str]:
    """Texts that together hold every word, number and mark of the language, in each way in which it is written."""
    # A digit for each slot: marks such as "/min" and "-year-old" stand behind numbers, without a space.
    wordings = (_SLOT.sub("0", wording) for wordings in WORDINGS.values() for wording in wordings)
    for text in chain(wordings, chain.from_iterable(slot_phrases().values()), ("an",)):
        yield text
        yield text[:1].upper() + text[1:]
    yield from _numbers()
    yield from (f"0/{pressure}" for pressure in DIASTOLIC)


def _numbers() -> Iterator[str]:
    table = medical_table()
    for condition in table.conditions.values():
        _, shortest, longest = condition.onset
        lowest, highest = condition.ages
        yield from map(str, chain(range(lowest, highest + 1), range(shortest, longest + 1)))
    yield from map(str, chain(PULSES, SYSTOLIC, DIASTOLIC))
    yield from map(temperature_text, chain(*TEMPERATURES.values()))
    drugs = table.drugs.values()
    adjusted = (replace(drug.regimen, doses=doses) for drug in drugs for doses in drug.adjusted.values())
    of_conditions = (condition.regimens.values() for condition in table.conditions.values())
    for regimen in chain((drug.regimen for drug in drugs), adjusted, *of_conditions):
        yield from chain(map(dose_text, regimen.doses), wrong_doses(regimen))
