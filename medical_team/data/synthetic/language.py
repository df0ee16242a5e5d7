"""The language of the synthetic notes: what a sentence can say, and the wordings in which it can say it.

A note is a tuple of :class:`Sentence` values, each of one kind: the patient and the complaint, a finding, the vital
signs, a fact (diagnosis, organism, drug, management, treatment), or something that doesn't matter. ``SLOTS`` names
what a sentence of each kind says; ``WORDINGS`` are its wordings. A wording with ``{subject}`` says he or she, so it
tells the patient's sex.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ...records import ErrorType
from .table import FindingKind, Sex


class SentenceKind(str, Enum):
    """What a sentence is about. The five kinds of fact are named like MEDEC's error types."""

    PATIENT = "patient"
    HISTORY = "history"
    EXAMINATION = "examination"
    TEST = "test"
    BACKGROUND = "background"
    """An earlier illness or state: neutral, or a caution that forbids some drugs or changes their doses."""
    FAMILY = "family"
    HOUSEHOLD = "household"
    VITAL_SIGNS = "vital signs"
    DIAGNOSIS = "diagnosis"
    CAUSAL_ORGANISM = "causalOrganism"
    PHARMACOTHERAPY = "pharmacotherapy"
    MANAGEMENT = "management"
    TREATMENT = "treatment"


FACT_KINDS: Mapping[SentenceKind, ErrorType] = {SentenceKind(error_type.value): error_type for error_type in ErrorType}
"""The kinds of sentence that can hold an error, with the type of that error."""

SENTENCE_OF_FACT: Mapping[ErrorType, SentenceKind] = {item: kind for kind, item in FACT_KINDS.items()}

FINDING_OF_SENTENCE: Mapping[SentenceKind, FindingKind] = {
    SentenceKind.PATIENT: "complaint",
    SentenceKind.HISTORY: "history",
    SentenceKind.EXAMINATION: "examination",
    SentenceKind.TEST: "test",
}
"""The kinds of sentence that state a finding, and the kind of finding."""

SEX_OF_PERSON: Mapping[str, Sex] = {"man": "male", "boy": "male", "woman": "female", "girl": "female"}
SEX_OF_SUBJECT: Mapping[str, Sex] = {"he": "male", "she": "female"}
SUBJECT_OF_SEX: Mapping[Sex, str] = {"male": "he", "female": "she"}
ADULT_AGE = 18

BACKGROUNDS = (
    "eczema in childhood",
    "hay fever",
    "lactose intolerance",
    "mild scoliosis",
    "a sprained ankle last year",
    "a wrist fracture 2 years ago",
    "vitiligo",
    "nearsightedness",
    "flat feet",
    "color blindness",
    "varicose veins",
    "seasonal nosebleeds",
)
"""Earlier illnesses that make no difference to anything in the table."""

FAMILY_ILLNESSES = ("hay fever", "high cholesterol", "osteoarthritis", "psoriasis", "cataracts", "gallstones")
HOUSEHOLDS = ("relatives", "a grandparent", "a large family", "an aunt", "two cousins")

SLOTS: Mapping[SentenceKind, tuple[str, ...]] = {
    SentenceKind.PATIENT: ("age", "person", "complaint", "count", "period"),
    SentenceKind.HISTORY: ("history",),
    SentenceKind.EXAMINATION: ("examination",),
    SentenceKind.TEST: ("test",),
    SentenceKind.BACKGROUND: ("background",),
    SentenceKind.FAMILY: ("family",),
    SentenceKind.HOUSEHOLD: ("household",),
    SentenceKind.VITAL_SIGNS: ("temperature", "pulse", "systolic", "diastolic"),
    SentenceKind.DIAGNOSIS: ("diagnosis",),
    SentenceKind.CAUSAL_ORGANISM: ("organism",),
    SentenceKind.PHARMACOTHERAPY: ("drug", "dose", "unit", "route", "schedule"),
    SentenceKind.MANAGEMENT: ("management",),
    SentenceKind.TREATMENT: ("treatment",),
}

WORDINGS: Mapping[SentenceKind, tuple[str, ...]] = {
    SentenceKind.PATIENT: (
        "a {age}-year-old {person} presents with {complaint} for {count} {period}.",
        "a {age}-year-old {person} comes to the clinic with {complaint} for {count} {period}.",
        "a {age}-year-old {person} is evaluated after {count} {period} of {complaint}.",
        "a {age}-year-old {person} arrives at the emergency department after {count} {period} of {complaint}.",
        "{complaint} for {count} {period} led a {age}-year-old {person} to seek care.",
    ),
    SentenceKind.HISTORY: (
        "{subject} reports {history}.",
        "the patient describes {history}.",
        "the history includes {history}.",
        "further questioning reveals {history}.",
    ),
    SentenceKind.EXAMINATION: (
        "examination shows {examination}.",
        "physical examination reveals {examination}.",
        "on examination {subject} has {examination}.",
        "findings on examination include {examination}.",
    ),
    SentenceKind.TEST: (
        "testing shows {test}.",
        "further workup reveals {test}.",
        "the results include {test}.",
        "the studies demonstrate {test}.",
    ),
    SentenceKind.BACKGROUND: (
        "{subject} has a history of {background}.",
        "past medical history is notable for {background}.",
        "the chart documents {background}.",
    ),
    SentenceKind.FAMILY: (
        "family history is notable for {family}.",
        "a parent was treated for {family}.",
        "one sibling has {family}.",
    ),
    SentenceKind.HOUSEHOLD: (
        "{subject} lives with {household}.",
        "the patient shares a home with {household}.",
    ),
    # None ends with "C.", which would look like an abbreviation and not like the end of a sentence.
    SentenceKind.VITAL_SIGNS: (
        "temperature is {temperature} C, pulse {pulse}/min and blood pressure {systolic}/{diastolic} mm Hg.",
        "vital signs: blood pressure {systolic}/{diastolic} mm Hg, temperature {temperature} C, pulse {pulse}/min.",
        "pulse is {pulse}/min, temperature {temperature} C and blood pressure {systolic}/{diastolic} mm Hg.",
    ),
    SentenceKind.DIAGNOSIS: (
        "the diagnosis is {diagnosis}.",
        "the patient is diagnosed with {diagnosis}.",
        "the clinical picture indicates {diagnosis}.",
        "a diagnosis of {diagnosis} is made.",
        "these findings are consistent with {diagnosis}.",
    ),
    SentenceKind.CAUSAL_ORGANISM: (
        "the causal organism is {organism}.",
        "microbiology identifies {organism}.",
        "the illness is caused by {organism}.",
        "laboratory analysis confirms {organism}.",
    ),
    SentenceKind.PHARMACOTHERAPY: (
        "{drug} {dose} {unit} {route} {schedule} is started.",
        "the patient is started on {drug} {dose} {unit} {route} {schedule}.",
        "{subject} is given {dose} {unit} of {drug} {route} {schedule}.",
        "the prescription is {drug} {dose} {unit} {route} {schedule}.",
        "therapy begins with {dose} {unit} of {drug} {route} {schedule}.",
    ),
    SentenceKind.MANAGEMENT: (
        "the next step is {management}.",
        "the plan is {management}.",
        "the team arranges {management}.",
        "management consists of {management}.",
        "{subject} is advised that the next step is {management}.",
    ),
    SentenceKind.TREATMENT: (
        "the patient is treated with {treatment}.",
        "treatment consists of {treatment}.",
        "{subject} receives {treatment}.",
        "definitive treatment is {treatment}.",
    ),
}

_VOWEL_SOUND = re.compile(r"\b([Aa]) (?=8|11\b|18\b)")


@dataclass(frozen=True)
class Sentence:
    """One sentence: what it says, and in which of the wordings of its kind."""

    kind: SentenceKind
    values: tuple[str, ...]
    """One for each of ``SLOTS[kind]``."""
    wording: int = 0

    @property
    def fact(self) -> str:
        """The first value, which is all that most kinds of sentence say: a finding, a diagnosis, a drug."""
        return self.values[0]

    def value(self, slot: str) -> str:
        """What the sentence says for ``slot``, one of ``SLOTS[kind]``."""
        return self.values[SLOTS[self.kind].index(slot)]

    def worded(self, wording: int) -> Sentence:
        """The same, in another of the wordings."""
        return replace(self, wording=wording)


def finding_of(sentence: Sentence) -> tuple[FindingKind, str] | None:
    """The finding that ``sentence`` states, if it states one."""
    kind = FINDING_OF_SENTENCE.get(sentence.kind)
    return None if kind is None else (kind, sentence.value(kind))


def person(age: int, sex: Sex) -> str:
    """Man, woman, boy or girl."""
    if age < ADULT_AGE:
        return "boy" if sex == "male" else "girl"
    return "man" if sex == "male" else "woman"


def render_sentence(sentence: Sentence, sex: Sex | None) -> str:
    """The text of ``sentence`` about a patient of ``sex``."""
    wording = WORDINGS[sentence.kind][sentence.wording]
    subject = "the patient" if sex is None else SUBJECT_OF_SEX[sex]
    text = wording.format(subject=subject, **dict(zip(SLOTS[sentence.kind], sentence.values, strict=True)))
    return _VOWEL_SOUND.sub(r"\1n ", text[0].upper() + text[1:])


def render(sentences: Sequence[Sentence], sex: Sex | None) -> str:
    """The text of a note about a patient of ``sex``, which is None where no sentence tells it."""
    return " ".join(render_sentence(sentence, sex) for sentence in sentences)


def draw_wording(kind: SentenceKind, sex: Sex | None, rng: random.Random) -> int:
    """Any of the wordings; where the patient's sex is not known, any that doesn't tell it."""
    wordings = enumerate(WORDINGS[kind])
    return rng.choice([number for number, wording in wordings if sex is not None or "{subject}" not in wording])
