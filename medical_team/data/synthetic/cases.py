"""Drawing synthetic cases: a note with one error, and the same note without it.

The error is mostly the one that is commonly made; the long tail of rare errors, which an attacker may plant, is seldom
seen. Case ``n`` of a seed is the same however many cases are drawn, and no two cases are alike: their vital signs
are numbered through.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...errors import UsageError
from ...records import ErrorType, NotePair, Source
from ...seeds import derive_seed, derived_random
from ..pairs import SYNTHETIC_PREFIX
from .facts import allowed_drugs, draw_common_mistake, draw_rare_mistake, draw_right, forbidden_drugs
from .language import (
    BACKGROUNDS,
    FAMILY_ILLNESSES,
    FINDING_OF_SENTENCE,
    HOUSEHOLDS,
    SENTENCE_OF_FACT,
    Sentence,
    SentenceKind,
    draw_wording,
    person,
    render,
    render_sentence,
)
from .table import Condition, Sex, medical_table

RARE_SHARE = 0.06
"""How many of the errors are not the common confusion, unless the caller says otherwise."""

CAUTION_SHARE = 0.5
"""How many of the notes with a drug tell a history that forbids some drug or changes a dose."""

RELEVANT_SHARE = 0.6
"""In how many of these the history matters to a right drug of the note's condition, where there is such a history."""

MIN_WORDS, MAX_WORDS = 40, 90

TEMPERATURES = {False: range(364, 374), True: range(381, 401, 2)}
"""Tenths of a degree, without fever and with."""
PULSES = range(60, 111)
SYSTOLIC = range(100, 160)
DIASTOLIC = range(60, 90)
STRIDE = 566_557
MAX_CASES = len(TEMPERATURES[False]) * len(PULSES) * len(SYSTOLIC) * len(DIASTOLIC)
"""So many different vital signs there are, and so many cases that are sure to differ."""

_FINDING_KINDS = (SentenceKind.HISTORY, SentenceKind.EXAMINATION, SentenceKind.TEST)


@dataclass(frozen=True)
class SyntheticCase:
    """One error case, with what it was made from."""

    number: int
    condition: str
    error_type: ErrorType
    is_rare: bool
    """Whether the error belongs to the long tail."""
    sex: Sex
    error_sentences: tuple[Sentence, ...]
    corrected_sentences: tuple[Sentence, ...]
    error_index: int
    """The place of the one sentence in which the two notes differ."""

    @cached_property
    def error_note(self) -> str:
        """The note with its error."""
        return render(self.error_sentences, self.sex)

    @cached_property
    def corrected_note(self) -> str:
        """The note without the error."""
        return render(self.corrected_sentences, self.sex)

    @property
    def error_sentence(self) -> str:
        """The wrong sentence."""
        return render_sentence(self.error_sentences[self.error_index], self.sex)

    @property
    def corrected_sentence(self) -> str:
        """The right sentence in its place."""
        return render_sentence(self.corrected_sentences[self.error_index], self.sex)

    def pair(self, case_id: str | None = None) -> NotePair:
        """The case as the game plays it."""
        name = case_id or f"{SYNTHETIC_PREFIX}{self.number:06d}"
        return NotePair(
            case_id=name,
            near_duplicate_group=name,
            source=Source.SYNTHETIC,
            error_type=self.error_type,
            error_note=self.error_note,
            corrected_note=self.corrected_note,
            error_sentence=self.error_sentence,
            corrected_sentence=self.corrected_sentence,
        )


def synthetic_cases(
    count: int, seed: int, *, conditions: Sequence[str] | None = None, rare_share: float = RARE_SHARE
) -> Iterator[SyntheticCase]:
    """Draw ``count`` cases, one by one.

    Args:
        count: how many, up to ``MAX_CASES``.
        seed: the same seed gives the same cases.
        conditions: names of the only conditions to draw from; None: all of the table.
        rare_share: the share of errors that belong to the long tail, from 0 to 1.

    Raises:
        UsageError: there are too many cases.
        KeyError: the table does not have one of the conditions.
    """
    table = medical_table()
    if not 0 <= count <= MAX_CASES:
        raise UsageError(f"{count} synthetic cases are wanted, expected 0 to {MAX_CASES}: beyond that some are alike")
    chosen = [table.conditions[name] for name in (table.conditions if conditions is None else conditions)]
    by_kind = {kind: tuple(item for item in chosen if kind in item.kinds) for kind in ErrorType}
    possible = {kind: items for kind, items in by_kind.items() if items}
    return (_draw_case(number, seed, possible, rare_share) for number in range(count))


def temperature_text(tenths: int) -> str:
    """A temperature as it is written."""
    return f"{tenths / 10:.1f}"


def _draw_case(
    number: int, seed: int, by_kind: Mapping[ErrorType, tuple[Condition, ...]], rare_share: float
) -> SyntheticCase:
    rng = derived_random(seed, "synthetic case", number)
    kind = rng.choice(tuple(by_kind))
    condition = rng.choice(by_kind[kind])
    sex: Sex = condition.sex or rng.choice(("female", "male"))
    stated = [kind, *_other_facts(kind, condition, rng)]
    is_rare = rng.random() < rare_share
    age = rng.randint(*condition.ages)
    caution = _draw_caution(stated, condition, (age, sex), rng, is_rare=is_rare)
    cautions = () if caution is None else (caution,)

    mistake = draw_rare_mistake(kind, condition, cautions, rng) if is_rare else None
    is_rare = mistake is not None
    mistake = mistake or draw_common_mistake(kind, condition, rng)
    facts = [_worded(SENTENCE_OF_FACT[item], draw_right(item, condition, cautions, rng), sex, rng) for item in stated]
    target = facts[0]
    wrong = Sentence(target.kind, mistake, target.wording)

    story = _story(number, seed, condition, caution, (age, sex), rng)
    extras = _extras(caution is not None, sex, rng)
    sentences = _in_order(_of_fitting_length(story, facts, wrong, extras, sex), rng)
    index = sentences.index(target)
    return SyntheticCase(
        number=number,
        condition=condition.name,
        error_type=kind,
        is_rare=is_rare,
        sex=sex,
        error_sentences=(*sentences[:index], wrong, *sentences[index + 1 :]),
        corrected_sentences=tuple(sentences),
        error_index=index,
    )


def _other_facts(kind: ErrorType, condition: Condition, rng: random.Random) -> list[ErrorType]:
    others = [item for item in condition.kinds if item is not kind]
    return rng.sample(others, rng.randint(1, min(3, len(others))))


def _draw_caution(
    stated: Sequence[ErrorType],
    condition: Condition,
    patient: tuple[int, Sex],
    rng: random.Random,
    *,
    is_rare: bool,
) -> str | None:
    """A caution that leaves some right drug, in some of the notes with a drug.

    Where a rare error of the drug is wanted, it is one that matters to a right drug, if there is such a caution.
    """
    needs_relevant = is_rare and stated[0] is ErrorType.PHARMACOTHERAPY
    if ErrorType.PHARMACOTHERAPY not in stated or (not needs_relevant and rng.random() >= CAUTION_SHARE):
        return None
    fitting = [
        name
        for name, caution in medical_table().cautions.items()
        if caution.fits(*patient) and allowed_drugs(condition, (name,))
    ]
    relevant = [name for name in fitting if _matters(name, condition)]
    if needs_relevant or (relevant and rng.random() < RELEVANT_SHARE):
        fitting = relevant
    return rng.choice(fitting) if fitting else None


def _matters(caution: str, condition: Condition) -> bool:
    """Whether ``caution`` forbids a right drug of ``condition`` or changes its dose."""
    if forbidden_drugs(condition, (caution,)):
        return True
    return any(caution in medical_table().drugs[name].adjusted for name in allowed_drugs(condition, (caution,)))


def _story(
    number: int,
    seed: int,
    condition: Condition,
    caution: str | None,
    patient: tuple[int, Sex],
    rng: random.Random,
) -> list[Sentence]:
    """What a note must tell before its facts: the patient, the vital signs, the findings and the caution."""
    _, sex = patient
    first = _patient(condition, *patient, rng)
    story = [first, _vital_signs(number, seed, condition, sex, rng)]
    story += _findings(condition, first.value("complaint"), sex, rng)
    if caution is not None:
        story.append(_worded(SentenceKind.BACKGROUND, (medical_table().cautions[caution].text,), sex, rng))
    return story


def _worded(kind: SentenceKind, values: tuple[str, ...], sex: Sex, rng: random.Random) -> Sentence:
    return Sentence(kind, values, draw_wording(kind, sex, rng))


def _patient(condition: Condition, age: int, sex: Sex, rng: random.Random) -> Sentence:
    period, shortest, longest = condition.onset
    values = (
        str(age),
        person(age, sex),
        rng.choice(condition.complaints),
        str(rng.randint(shortest, longest)),
        period,
    )
    return _worded(SentenceKind.PATIENT, values, sex, rng)


def _vital_signs(number: int, seed: int, condition: Condition, sex: Sex, rng: random.Random) -> Sentence:
    # The stride and the number of vital signs have no common factor, so every case of a seed gets its own.
    place = (number * STRIDE + derive_seed(seed, "vital signs")) % MAX_CASES
    place, temperature = divmod(place, len(TEMPERATURES[condition.fever]))
    place, pulse = divmod(place, len(PULSES))
    systolic, diastolic = divmod(place, len(DIASTOLIC))
    values = (
        temperature_text(TEMPERATURES[condition.fever][temperature]),
        str(PULSES[pulse]),
        str(SYSTOLIC[systolic]),
        str(DIASTOLIC[diastolic]),
    )
    return _worded(SentenceKind.VITAL_SIGNS, values, sex, rng)


def _findings(condition: Condition, complaint: str, sex: Sex, rng: random.Random) -> list[Sentence]:
    """Two or three findings, or as many as it takes to tell the condition."""
    table = medical_table()
    kinds = rng.sample(_FINDING_KINDS, len(_FINDING_KINDS))
    wanted = rng.choice((2, 2, 3))
    sentences: list[Sentence] = []
    known = table.owners["complaint", complaint]
    for kind in kinds:
        if len(sentences) >= wanted and len(known) == 1:
            break
        table_kind = FINDING_OF_SENTENCE[kind]
        finding = rng.choice(condition.findings(table_kind))
        known &= table.owners[table_kind, finding]
        sentences.append(_worded(kind, (finding,), sex, rng))
    return sentences


def _extras(has_caution: bool, sex: Sex, rng: random.Random) -> list[Sentence]:
    """What makes no difference, in the order in which it is taken while there is room."""
    extras = [
        _worded(SentenceKind.FAMILY, (rng.choice(FAMILY_ILLNESSES),), sex, rng),
        _worded(SentenceKind.HOUSEHOLD, (rng.choice(HOUSEHOLDS),), sex, rng),
    ]
    if not has_caution:
        extras.append(_worded(SentenceKind.BACKGROUND, (rng.choice(BACKGROUNDS),), sex, rng))
    return rng.sample(extras, rng.choice((0, 1, 1, 2)))


def _of_fitting_length(
    story: list[Sentence], facts: list[Sentence], wrong: Sentence, extras: list[Sentence], sex: Sex
) -> tuple[list[Sentence], list[Sentence]]:
    """Story and facts with as many of the other facts and extras as the length allows; the target fact stays."""
    length = max(_words(facts[0], sex), _words(wrong, sex)) + sum(_words(sentence, sex) for sentence in story)
    kept = (list(story), [facts[0]])
    for part, further in ((kept[1], facts[1:]), (kept[0], extras)):
        for sentence in further:
            if length + _words(sentence, sex) <= MAX_WORDS:
                part.append(sentence)
                length += _words(sentence, sex)
    return kept


def _in_order(parts: tuple[list[Sentence], list[Sentence]], rng: random.Random) -> list[Sentence]:
    """The patient first, then what was told, what was found, and at the end the facts; shuffled within."""
    (patient, *story), facts = parts
    found = (SentenceKind.VITAL_SIGNS, SentenceKind.EXAMINATION, SentenceKind.TEST)
    told = [sentence for sentence in story if sentence.kind not in found]
    seen = [sentence for sentence in story if sentence.kind in found]
    return [patient, *(sentence for part in (told, seen, facts) for sentence in rng.sample(part, len(part)))]


def _words(sentence: Sentence, sex: Sex) -> int:
    return len(render_sentence(sentence, sex).split())
