"""An attacker's revisions for demonstrations: rewritten notes of which the reference judge knows the truth.

A synthetic note is worded anew, and its error may be exchanged for another. Any other note gets neutral edits, a
wording that means the same or a word that opens a sentence, and the sentence at stake stays to the letter.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from ..data.synthetic import SyntheticReading, exchange_error, medical_table, read_note, reword
from ..data.synthetic.language import render
from ..data.synthetic.revisions import (
    exchange_detail,
    exchange_error_in_place,
    exchange_history,
    exchange_right_fact,
)
from ..data.synthetic.table import Condition as SyntheticCondition
from ..judge.exchangeable import NO_CONDITION, Condition, exchanges
from ..judge.lexicon import GOVERNING, OPENING_WORDS
from ..judge.reference import ReferenceJudge
from ..parsing import is_rewritten
from ..records import DataType, Source, TrainingRecord
from ..sentences import NumberedNote, read_edits
from ..words import count_words, fold_white_space

EXCHANGED_SHARE = 0.8
"""How many revisions of a synthetic note with an error hold another error in its place."""

RIGHT_EXCHANGED_SHARE, HISTORY_EXCHANGED_SHARE = 0.4, 0.4
"""How many edits of a synthetic note exchange a right fact for another right one, and a history for another one."""

AT_STAKE_SHARE = 0.5
"""In how many notes an edit of the sentence at stake is looked for first."""

WORDING_SHARE = 0.5
"""How many edits of a sentence also exchange a wording in it, where it has one that may be exchanged."""

_FEW_WORDS = 4
"""Shorter sentences, mostly fragments of a list, are edited only where nothing else can be."""

_ADDED = {"also"}
"""A small model that is shown how "is" becomes "is also" adds it wherever it can."""

_NEUTRAL_WORDS = tuple(sorted(OPENING_WORDS))
"""The judge reads past these where a clause begins: at the start of a sentence of a whole note, and behind a semicolon
at the end of a sentence that is edited alone, which must begin as it did."""

_WRITTEN = re.compile(r"[A-Za-z][A-Za-z' -]+")
"""Wordings that look in a note as they do in the list: no sign, no number, no single letter."""

_WORD = re.compile(r"[^\W_]+")
_CLAUSE_END = re.compile(r"[.;:!?](?=\s|$)")

_MOST_EDITS = 8
_SENTENCE_STARTS = (
    *("A", "An", "At", "Examination", "He", "Her", "His", "In", "It", "Laboratory", "On", "Patient", "Physical", "She"),
    *("The", "There", "They", "This", "Vital"),
)
"""What sentences often start with and may be written small behind an opening word: no names, no abbreviations."""


def revised_note(record: TrainingRecord, judge: ReferenceJudge, rng: random.Random) -> str | None:
    """A revision of the record's note that keeps what its category asks for, and that ``judge`` can tell.

    None where none was found.
    """
    is_synthetic = record.source is Source.SYNTHETIC
    revision = _reworded(record, rng) if is_synthetic else _edited(record, judge, rng)
    if revision is None or not is_rewritten(revision, record.note):
        return None
    return revision if _is_faithful(revision, record, judge) else None


def revised_sentences(record: TrainingRecord, judge: ReferenceJudge, rng: random.Random) -> str | None:
    """One edit, ``number: new sentence``, that leaves a note as its category asks for, and that ``judge`` can tell.

    In a synthetic note with an error four edits in five exchange the error for a rare one. None where none was found.
    """
    seed = NumberedNote(record.note, record.sentence_starts)
    is_synthetic = record.source is Source.SYNTHETIC
    tried = _exchanged_sentences(record, seed, rng) if is_synthetic else _edited_sentences(record, seed, rng)
    for number, sentence in tried:
        changed = seed.edited({number: sentence}).text
        answer = f"{number}: {fold_white_space(sentence)}"
        if isinstance(read_edits(answer, seed, 1), dict) and _is_faithful(changed, record, judge):
            return answer
    return None


def _exchanged_sentences(record: TrainingRecord, seed: NumberedNote, rng: random.Random) -> Iterator[tuple[int, str]]:
    """New sentences of a synthetic note: with another fact, or else with another detail that makes no difference.

    Each keeps its wording, so it starts as the sentence behind its number does, which is how a small model finds it.
    """
    reading = read_note(record.note)
    condition = _told_condition(reading)
    sentences = reading.sentences
    if condition is None or len(sentences) != len(seed.sentences):
        return
    found = None
    draw = rng.random()
    if record.data_type.is_harmful and draw < EXCHANGED_SHARE:
        found = exchange_error_in_place(sentences, condition, rng)
    elif draw < RIGHT_EXCHANGED_SHARE:
        found = exchange_right_fact(sentences, condition, rng)
    elif draw > 1 - HISTORY_EXCHANGED_SHARE:
        found = exchange_history(sentences, rng)
    for place, sentence in filter(None, (found, exchange_detail(sentences, rng))):
        yield place, render([sentence], reading.sex)


def _edited_sentences(record: TrainingRecord, seed: NumberedNote, rng: random.Random) -> Iterator[tuple[int, str]]:
    """Sentences with a remark at their end, in random order; in a share of the notes the one at stake comes first.

    Half of them come with a wording exchanged, then each without. What stands before the remark starts as the sentence
    behind that number in the note does: a small model finds a sentence by its number only if it copies it from there at
    once, and without a remark it copies all of it.
    """
    numbers = rng.sample(range(len(seed.sentences)), len(seed.sentences))
    numbers.sort(key=lambda number: count_words(seed.sentences[number]) < _FEW_WORDS)
    at_stake = seed.number_of(record.pair.sentence_at_stake(is_harmful=record.data_type.is_harmful))
    if at_stake is not None and rng.random() < AT_STAKE_SHARE:
        numbers.sort(key=lambda number: number != at_stake)
    for number in numbers:
        sentence = seed.sentences[number]
        remark = rng.choice(_NEUTRAL_WORDS)
        exchanged = next((edit.applied(sentence, rng) for edit in _tried_edits(sentence, rng, _exchanges())), sentence)
        if exchanged != sentence and rng.random() < WORDING_SHARE:
            yield number, _remarked(exchanged, remark)
        yield number, _remarked(sentence, remark)


def _remarked(sentence: str, remark: str) -> str:
    """``sentence`` with a word behind it that says nothing, before its last full stop."""
    end = "." if sentence.endswith(".") else ""
    return f"{sentence.removesuffix(end)}; {remark}{end}"


def _reworded(record: TrainingRecord, rng: random.Random) -> str | None:
    reading = read_note(record.note)
    condition = _told_condition(reading)
    if condition is None:
        return None
    sentences = reading.sentences
    if record.data_type is DataType.ADVERSARIAL_HARMFUL and rng.random() < EXCHANGED_SHARE:
        sentences = exchange_error(sentences, condition, rng)
    return render(reword(sentences, reading.sex, rng), reading.sex)


def _told_condition(reading: SyntheticReading) -> SyntheticCondition | None:
    """What the patient of a note has that was understood to the last word; None where that isn't so."""
    candidates = medical_table().candidates(reading.findings)
    if reading.unread or reading.is_ambiguous or len(candidates) != 1:
        return None
    return medical_table().conditions[next(iter(candidates))]


def _edited(record: TrainingRecord, judge: ReferenceJudge, rng: random.Random) -> str | None:
    note, edits = record.note, 0
    at_stake = record.pair.sentence_at_stake(is_harmful=record.data_type.is_harmful)
    for edit in _tried_edits(note, rng, _edits()):
        candidate = edit.applied(note, rng)
        if candidate != note and at_stake in candidate and _is_faithful(candidate, record, judge):
            note, edits = candidate, edits + 1
        if edits == _MOST_EDITS:
            break
    return note if edits else None


def _is_faithful(revision: str, record: TrainingRecord, judge: ReferenceJudge) -> bool:
    return judge.find(revision, record.pair).error_present is record.data_type.is_harmful


@dataclass(frozen=True)
class _Edit:
    """Something that may be exchanged in a note, wherever it stands and its condition holds."""

    pattern: re.Pattern[str]
    replacement: str
    condition: Condition = NO_CONDITION

    def places(self, note: str) -> list[re.Match[str]]:
        """Where it may be exchanged."""
        found = list(self.pattern.finditer(note))
        return found if self.condition is NO_CONDITION else [place for place in found if self._holds_at(place, note)]

    def applied(self, note: str, rng: random.Random) -> str:
        """``note`` with one place exchanged, the first letter's case kept; as it was where there is no place."""
        places = self.places(note)
        if not places:
            return note
        place = rng.choice(places)
        replacement = self.replacement
        if place.group()[0].isupper() and not place.group().isupper():
            replacement = replacement[0].upper() + replacement[1:]
        return f"{note[: place.start()]}{replacement}{note[place.end() :]}"

    def _holds_at(self, place: re.Match[str], note: str) -> bool:
        before = _WORD.findall(_CLAUSE_END.split(note[: place.start()])[-1].casefold())
        after = _WORD.findall(_CLAUSE_END.split(note[place.end() :])[0].casefold())
        is_negated = not GOVERNING.isdisjoint(before)
        return self.condition.holds(before[-1] if before else "", after[0] if after else "", is_negated)


def _tried_edits(note: str, rng: random.Random, edits: Sequence[_Edit]) -> list[_Edit]:
    """Those of ``edits`` that have a place in ``note``, in random order."""
    placed = [edit for edit in edits if edit.places(note)]
    return rng.sample(placed, len(placed))


@cache
def _exchanges() -> tuple[_Edit, ...]:
    """A wording for another that means the same."""
    edits: list[_Edit] = []
    for exchange in exchanges():
        wordings = [
            wording for wording in exchange.wordings if _WRITTEN.fullmatch(wording) and not _ADDED & {*wording.split()}
        ]
        for wording in wordings:
            pattern = re.compile(rf"(?<![\w'-]){re.escape(wording)}(?![\w'-])", re.IGNORECASE)
            edits += [_Edit(pattern, other, exchange.condition) for other in wordings if other != wording]
    return tuple(edits)


@cache
def _edits() -> tuple[_Edit, ...]:
    """These, and a word that opens a sentence."""
    openings = (
        _Edit(re.compile(rf"(?:(?<=[.!?] )|^){start} "), f"{word.capitalize()}, {start.lower()} ")
        for word in _NEUTRAL_WORDS
        for start in _SENTENCE_STARTS
    )
    return (*_exchanges(), *openings)
