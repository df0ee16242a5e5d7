"""The words of the language: closed, so that a word-level tokenizer can hold them all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain

from .cases import DIASTOLIC, PULSES, SYSTOLIC, TEMPERATURES, temperature_text
from .language import WORDINGS
from .mistakes import dose_text, wrong_doses
from .reader import slot_phrases, words_of
from .table import MedicalTable, medical_table

_SLOT = re.compile(r"\{\w+\}")


@cache
def vocabulary() -> frozenset[str]:
    """All words, in lower case and without punctuation, that generated notes and their revisions can hold.

    Numbers count as words: those that are generated, not all that a reader of the language understands.
    """
    table = medical_table()
    wordings = (_SLOT.sub(" ", wording) for wordings in WORDINGS.values() for wording in wordings)
    phrases = chain.from_iterable(slot_phrases(table).values())
    return frozenset(word for text in chain(wordings, phrases, _numbers(table)) for word in words_of(text))


def several_words() -> list[str]:
    """What stands in the slots of sentences and is longer than a word, the longest first."""
    phrases = {phrase for phrases in slot_phrases(medical_table()).values() for phrase in phrases if " " in phrase}
    return sorted(phrases, key=lambda phrase: (-len(phrase), phrase))


def written_texts() -> Iterator[str]:
    """Texts that together hold every word, number and mark of the language, in each way in which it is written."""
    table = medical_table()
    # A digit for each slot: marks such as "/min" and "-year-old" stand behind numbers, without a space.
    wordings = (_SLOT.sub("0", wording) for wordings in WORDINGS.values() for wording in wordings)
    for text in chain(wordings, chain.from_iterable(slot_phrases(table).values()), ("an",)):
        yield text
        yield text[:1].upper() + text[1:]
    yield from _numbers(table)
    yield from (f"0/{pressure}" for pressure in DIASTOLIC)


def _numbers(table: MedicalTable) -> Iterator[str]:
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
