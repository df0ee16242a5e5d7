"""The medical table of the synthetic notes: conditions, findings, organisms, drugs with doses, management, treatment.

A closed and simplified table of our own writing, in ``conditions.toml`` and ``drugs.toml``. It is not medical advice
and not for clinical use: it exists so that the truth of a note in a small language is known exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any, Literal, TypeVar

import tomllib

from ...jsonl import from_line
from ...records import Closed, ErrorType

Sex = Literal["female", "male"]
FindingKind = Literal["complaint", "history", "examination", "test"]
FINDING_KINDS: tuple[FindingKind, ...] = ("complaint", "history", "examination", "test")

_FIELDS = {
    ErrorType.DIAGNOSIS: "diagnosis",
    ErrorType.CAUSAL_ORGANISM: "organism",
    ErrorType.PHARMACOTHERAPY: "drug",
    ErrorType.MANAGEMENT: "management",
    ErrorType.TREATMENT: "treatment",
}
"""What a condition says of each kind of fact."""

RecordT = TypeVar("RecordT")


@dataclass(frozen=True)
class Regimen(Closed):
    """How a drug is given. What lies between the lowest and the highest of ``doses`` is right."""

    doses: tuple[float, ...]
    unit: str
    route: str
    schedule: str


@dataclass(frozen=True)
class Caution(Closed):
    """A history that forbids some drugs or changes their doses, and the patients who can have it."""

    text: str
    """What a note says of it."""
    sex: Sex | None = None
    ages: tuple[int, int] = (0, 120)

    def fits(self, age: int, sex: Sex | None) -> bool:
        """Whether a patient of this age and sex can have it."""
        return self.ages[0] <= age <= self.ages[1] and (self.sex is None or sex in (None, self.sex))


@dataclass(frozen=True)
class Drug(Closed):
    """A drug with its usual regimen, and the cautions that change its dose, forbid it, or leave it unclear."""

    name: str
    doses: tuple[float, ...]
    unit: str
    route: str
    schedule: str
    adjusted: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    """The only right doses under a caution; without it they are an error, as the usual ones are under it."""
    avoid: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()

    @cached_property
    def regimen(self) -> Regimen:
        """How it is given unless a condition says otherwise."""
        return Regimen(self.doses, self.unit, self.route, self.schedule)


@dataclass(frozen=True)
class Choice(Closed):
    """The answers that are right, and the wrong one that is commonly confused with them."""

    right: tuple[str, ...]
    mistaken: str


@dataclass(frozen=True)
class Condition(Closed):
    """One condition: who has it, how it looks, and what is right."""

    name: str
    group: str
    ages: tuple[int, int]
    onset: tuple[str, int, int]
    complaints: tuple[str, ...]
    history: tuple[str, ...]
    examination: tuple[str, ...]
    tests: tuple[str, ...]
    diagnosis: Choice
    organism: Choice | None = None
    drug: Choice | None = None
    management: Choice | None = None
    treatment: Choice | None = None
    sex: Sex | None = None
    fever: bool = False
    debatable: tuple[str, ...] = ()
    regimens: Mapping[str, Regimen] = field(default_factory=dict[str, Regimen])

    def findings(self, kind: FindingKind) -> tuple[str, ...]:
        """The findings of one kind."""
        return {
            "complaint": self.complaints,
            "history": self.history,
            "examination": self.examination,
            "test": self.tests,
        }[kind]

    def choice(self, kind: ErrorType) -> Choice | None:
        """What is right for one kind of fact; None where the table has nothing to say."""
        return getattr(self, _FIELDS[kind])

    @cached_property
    def kinds(self) -> tuple[ErrorType, ...]:
        """The kinds of fact that a note of this condition can state."""
        return tuple(kind for kind in ErrorType if self.choice(kind) is not None)


@dataclass(frozen=True)
class _ConditionsFile(Closed):
    others: Mapping[str, tuple[str, ...]]
    """Answers that are right for no condition, by the field of a condition that they would stand in."""
    supportive: Mapping[str, tuple[str, ...]]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class _DrugsFile(Closed):
    cautions: Mapping[str, Caution]
    drugs: tuple[Drug, ...]


@dataclass(frozen=True)
class MedicalTable:
    """The whole table, with the look-ups that generating and judging need."""

    conditions: Mapping[str, Condition]
    drugs: Mapping[str, Drug]
    cautions: Mapping[str, Caution]
    """Histories that matter, by the short names that drugs use."""
    supportive: frozenset[str]
    answers: Mapping[ErrorType, tuple[str, ...]]
    """All answers that a note can state, right or wrong, sorted."""
    owners: Mapping[tuple[FindingKind, str], frozenset[str]]
    """The names of the conditions to which a finding belongs."""

    def regimen(self, drug: str, condition: Condition) -> Regimen:
        """How ``drug`` is given in ``condition``."""
        return condition.regimens.get(drug) or self.drugs[drug].regimen

    def candidates(self, findings: Sequence[tuple[FindingKind, str]]) -> frozenset[str]:
        """The names of the conditions that all of ``findings`` fit; empty where there are no findings."""
        sets = [self.owners.get(finding, frozenset[str]()) for finding in findings]
        return frozenset[str]().union(*sets[:1]).intersection(*sets)

    def is_debatable(self, name: str, condition: Condition) -> bool:
        """Whether the table does not say if the answer ``name``, which is not a right one, is wrong."""
        return name in condition.debatable or name in self.supportive

    def is_wrong(self, kind: ErrorType, name: str, condition: Condition) -> bool:
        """Whether the answer ``name`` contradicts what the table says of ``condition``."""
        choice = condition.choice(kind)
        return choice is not None and name not in choice.right and not self.is_debatable(name, condition)

    def confusions(self, kind: ErrorType, condition: Condition) -> tuple[str, ...]:
        """The rarer wrong answers: what is said of the other conditions of the group, without the common confusion."""
        return self._confusions[kind, condition.name]

    @cached_property
    def _confusions(self) -> Mapping[tuple[ErrorType, str], tuple[str, ...]]:
        return {
            (kind, condition.name): tuple(self._confusions_of(kind, condition))
            for condition in self.conditions.values()
            for kind in condition.kinds
        }

    def _confusions_of(self, kind: ErrorType, condition: Condition) -> list[str]:
        own = condition.choice(kind)
        names: set[str] = set()
        for other in self.conditions.values():
            choice = other.choice(kind)
            if choice is not None and other.group == condition.group and _fit_one_patient(condition, other):
                names.update(choice.right, [choice.mistaken])
        return sorted(
            name for name in names if self.is_wrong(kind, name, condition) and own is not None and name != own.mistaken
        )


@cache
def medical_table() -> MedicalTable:
    """The table that ships with the package."""
    diseases = _read("conditions.toml", _ConditionsFile)
    medicines = _read("drugs.toml", _DrugsFile)
    conditions = {condition.name: condition for condition in diseases.conditions}
    drugs = {drug.name: drug for drug in medicines.drugs}
    return MedicalTable(
        conditions=conditions,
        drugs=drugs,
        cautions=dict(medicines.cautions),
        supportive=frozenset(diseases.supportive["names"]),
        answers=_answers(diseases.conditions, {**diseases.others, "drug": tuple(drugs)}),
        owners=_owners(diseases.conditions),
    )


def _fit_one_patient(condition: Condition, other: Condition) -> bool:
    return condition.sex is None or other.sex in (None, condition.sex)


def _read(name: str, file_type: type[RecordT]) -> RecordT:
    # Through JSON, because strict checking takes JSON's lists as tuples.
    content: dict[str, Any] = tomllib.loads(files(__package__ or __name__).joinpath(name).read_text(encoding="utf-8"))
    return from_line(json.dumps(content), file_type)


def _answers(
    conditions: Sequence[Condition], right_for_none: Mapping[str, tuple[str, ...]]
) -> dict[ErrorType, tuple[str, ...]]:
    answers: dict[ErrorType, tuple[str, ...]] = {}
    for kind, name in _FIELDS.items():
        choices = (condition.choice(kind) for condition in conditions)
        right = {answer for choice in choices if choice is not None for answer in choice.right}
        answers[kind] = tuple(sorted(right.union(right_for_none[name])))
    return answers


def _owners(conditions: Sequence[Condition]) -> dict[tuple[FindingKind, str], frozenset[str]]:
    owners: dict[tuple[FindingKind, str], frozenset[str]] = {}
    for condition in conditions:
        for kind in FINDING_KINDS:
            for finding in condition.findings(kind):
                owners[kind, finding] = owners.get((kind, finding), frozenset()) | {condition.name}
    return owners
