"""Revisions of a note within the language: other wordings, another order, the error exchanged for another one.

These are an attacker's moves, for demonstrations and for tests: whatever they do, the truth of the note stays known.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from .cases import PULSES
from .facts import (
    Standing,
    allowed_drugs,
    cautions_of,
    draw_common_mistake,
    draw_rare_mistake,
    draw_right,
    rule_on_fact,
)
from .language import (
    BACKGROUNDS,
    FACT_KINDS,
    FAMILY_ILLNESSES,
    HOUSEHOLDS,
    SLOTS,
    Sentence,
    SentenceKind,
    draw_wording,
)
from .table import Condition, Sex, medical_table

_ATTEMPTS = 8


def reword(sentences: Sequence[Sentence], sex: Sex | None, rng: random.Random) -> tuple[Sentence, ...]:
    """The same note in wordings drawn anew."""
    return tuple(sentence.worded(draw_wording(sentence.kind, sex, rng)) for sentence in sentences)


def correct(sentences: Sequence[Sentence], condition: Condition, rng: random.Random) -> tuple[Sentence, ...]:
    """The note with right facts in the place of wrong ones; where nothing is right, the wrong fact is left out."""
    cautions = _cautions(sentences)
    corrected: list[Sentence] = []
    for sentence in sentences:
        if not _is_wrong(sentence, condition, cautions):
            corrected.append(sentence)
        elif sentence.kind is not SentenceKind.PHARMACOTHERAPY or allowed_drugs(condition, cautions):
            values = draw_right(FACT_KINDS[sentence.kind], condition, cautions, rng)
            corrected.append(Sentence(sentence.kind, values, sentence.wording))
    return tuple(corrected)


def exchange_error(sentences: Sequence[Sentence], condition: Condition, rng: random.Random) -> tuple[Sentence, ...]:
    """The note with its error corrected and another planted, a rare one where there is one, in any of its facts.

    A note without an error gets one. A note that states no fact which could be wrong comes back as it was.
    """
    cautions = _cautions(sentences)
    corrected = correct(sentences, condition, rng)
    stated = {sentence.values for sentence in sentences}
    places = [
        place
        for place, sentence in enumerate(corrected)
        if sentence.kind in FACT_KINDS and FACT_KINDS[sentence.kind] in condition.kinds
    ]
    for _ in range(_ATTEMPTS if places else 0):
        place = rng.choice(places)
        sentence = corrected[place]
        kind = FACT_KINDS[sentence.kind]
        values = draw_rare_mistake(kind, condition, cautions, rng)
        values = values or draw_common_mistake(kind, condition, rng)
        if values not in stated:
            planted = Sentence(sentence.kind, values, sentence.wording)
            return (*corrected[:place], planted, *corrected[place + 1 :])
    return tuple(sentences)


def exchange_error_in_place(
    sentences: Sequence[Sentence], condition: Condition, rng: random.Random
) -> tuple[int, Sentence] | None:
    """Another error in the sentence that has one, a rare one: its place and the new sentence.

    None where no sentence is wrong, or where the table has no other error of that kind.
    """
    cautions = _cautions(sentences)
    place = next((place for place, item in enumerate(sentences) if _is_wrong(item, condition, cautions)), None)
    if place is None:
        return None
    wrong = sentences[place]
    for _ in range(_ATTEMPTS):
        values = draw_rare_mistake(FACT_KINDS[wrong.kind], condition, cautions, rng)
        if values not in (None, wrong.values):
            return place, Sentence(wrong.kind, values, wrong.wording)
    return None


def exchange_right_fact(
    sentences: Sequence[Sentence], condition: Condition, rng: random.Random
) -> tuple[int, Sentence] | None:
    """Another right answer in the place of one: a drug or a dose that is as good, another test that is due.

    None where the note states nothing for which the table knows another answer.
    """
    cautions = _cautions(sentences)
    places = [place for place, item in enumerate(sentences) if item.kind in FACT_KINDS]
    for place in rng.sample(places, len(places)):
        fact = sentences[place]
        if rule_on_fact(fact, condition, cautions).standing is Standing.RIGHT:
            for _ in range(_ATTEMPTS):
                values = draw_right(FACT_KINDS[fact.kind], condition, cautions, rng)
                if values != fact.values:
                    return place, Sentence(fact.kind, values, fact.wording)
    return None


def exchange_history(sentences: Sequence[Sentence], rng: random.Random) -> tuple[int, Sentence] | None:
    """Any other history in the place of the one that the note tells, whether or not it matters."""
    places = [place for place, item in enumerate(sentences) if item.kind is SentenceKind.BACKGROUND]
    if not places:
        return None
    place = rng.choice(places)
    texts = (*BACKGROUNDS, *(caution.text for caution in medical_table().cautions.values()))
    other = rng.choice([text for text in texts if text != sentences[place].fact])
    return place, Sentence(SentenceKind.BACKGROUND, (other,), sentences[place].wording)


def exchange_detail(sentences: Sequence[Sentence], rng: random.Random) -> tuple[int, Sentence] | None:
    """Another of something that makes no difference: the pulse, how long it has lasted, a relative's illness.

    None where the note tells no such thing.
    """
    places = [place for place, item in enumerate(sentences) if _other_details(item)]
    if not places:
        return None
    place = rng.choice(places)
    sentence = sentences[place]
    slot, others = rng.choice(_other_details(sentence))
    position = SLOTS[sentence.kind].index(slot)
    values = (*sentence.values[:position], rng.choice(others), *sentence.values[position + 1 :])
    return place, Sentence(sentence.kind, values, sentence.wording)


def _other_details(sentence: Sentence) -> list[tuple[str, list[str]]]:
    """The slots of ``sentence`` that make no difference, each with what else could stand there."""
    known = {
        SentenceKind.VITAL_SIGNS: [("pulse", tuple(map(str, PULSES)))],
        SentenceKind.FAMILY: [("family", FAMILY_ILLNESSES)],
        SentenceKind.HOUSEHOLD: [("household", HOUSEHOLDS)],
        SentenceKind.BACKGROUND: [("background", BACKGROUNDS)] if sentence.fact in BACKGROUNDS else [],
    }
    return [
        (slot, [text for text in texts if text != sentence.value(slot)]) for slot, texts in known.get(sentence.kind, [])
    ]


def _is_wrong(sentence: Sentence, condition: Condition, cautions: Collection[str]) -> bool:
    if sentence.kind not in FACT_KINDS:
        return False
    return rule_on_fact(sentence, condition, cautions).standing is Standing.WRONG


def _cautions(sentences: Sequence[Sentence]) -> frozenset[str]:
    backgrounds = [sentence.fact for sentence in sentences if sentence.kind is SentenceKind.BACKGROUND]
    return cautions_of(backgrounds)
