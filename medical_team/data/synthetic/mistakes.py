"""Right and wrong answers for a condition, drawn: the common confusion, or one of the long tail of rare errors.

The rare errors of a condition are what is said of the other conditions of its group; for a drug also a dose
ten times too high or too low, and what would be right for a patient with another history: a drug that a caution
forbids, a usual dose where one is adjusted, an adjusted dose without its reason.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace

from ...records import ErrorType
from .facts import Dosing, allowed_drugs, dosing, forbidden_drugs
from .table import Choice, Condition, MedicalTable, Regimen

DOSE_ERROR = 10.0
"""A wrong dose is a usual one times or divided by this."""

_DRUG_MISTAKES = ("drug", "dose", "history", "history")


def draw_right(
    kind: ErrorType, condition: Condition, cautions: Collection[str], table: MedicalTable, rng: random.Random
) -> tuple[str, ...]:
    """What a sentence can rightly say.

    Raises:
        LookupError: nothing is right: the condition has no fact of this kind, or the cautions leave no drug.
    """
    if kind is not ErrorType.PHARMACOTHERAPY:
        return (rng.choice(_choice(kind, condition).right),)
    drug = rng.choice(allowed_drugs(condition, cautions, table))
    return _prescription(drug, _dosing(drug, condition, cautions, table).regimen, rng)


def draw_common_mistake(
    kind: ErrorType, condition: Condition, table: MedicalTable, rng: random.Random
) -> tuple[str, ...]:
    """The common confusion.

    Raises:
        LookupError: the condition has no fact of this kind.
    """
    return _said_of(_choice(kind, condition).mistaken, kind, table, rng)


def draw_rare_mistake(
    kind: ErrorType, condition: Condition, cautions: Collection[str], table: MedicalTable, rng: random.Random
) -> tuple[str, ...] | None:
    """One of the long tail; None where the table has no rare error of this kind for the condition."""
    if condition.choice(kind) is None:
        return None
    if kind is ErrorType.PHARMACOTHERAPY:
        mistake = rng.choice(_DRUG_MISTAKES)
        of_other_history = right_for_another_history(condition, cautions, table)
        if mistake == "history" and of_other_history:
            drug, regimen = rng.choice(of_other_history)
            return _prescription(drug, regimen, rng)
        if mistake == "dose" and (drugs := allowed_drugs(condition, cautions, table)):
            drug = rng.choice(drugs)
            regimen = _dosing(drug, condition, cautions, table).regimen
            return _said_of_drug(drug, rng.choice(wrong_doses(regimen)), regimen)
    confusions = table.confusions(kind, condition)
    return _said_of(rng.choice(confusions), kind, table, rng) if confusions else None


def _choice(kind: ErrorType, condition: Condition) -> Choice:
    choice = condition.choice(kind)
    if choice is None:
        raise LookupError(f"the table has no {kind.value} for {condition.name}")
    return choice


def right_for_another_history(
    condition: Condition, cautions: Collection[str], table: MedicalTable
) -> tuple[tuple[str, Regimen], ...]:
    """Drugs with doses that are an error under ``cautions``, and right for patients with another history."""
    forbidden = forbidden_drugs(condition, cautions, table)
    found = [(drug, table.regimen(drug, condition)) for drug in forbidden]
    for drug in allowed_drugs(condition, cautions, table):
        given = _dosing(drug, condition, cautions, table)
        found += [(drug, replace(given.regimen, doses=doses)) for doses in given.others]
    return tuple(found)


def _dosing(drug: str, condition: Condition, cautions: Collection[str], table: MedicalTable) -> Dosing:
    given = dosing(drug, condition, cautions, table)
    if given is None:
        raise LookupError(f"the table has no dose of {drug} for {condition.name} with {', '.join(cautions)}")
    return given


def wrong_doses(regimen: Regimen) -> tuple[str, str]:
    """The dose that is far too low and the one that is far too high, as they are written."""
    return dose_text(min(regimen.doses) / DOSE_ERROR), dose_text(max(regimen.doses) * DOSE_ERROR)


def dose_text(dose: float) -> str:
    """A dose as it is written."""
    return f"{dose:.6g}"


def _said_of(name: str, kind: ErrorType, table: MedicalTable, rng: random.Random) -> tuple[str, ...]:
    if kind is ErrorType.PHARMACOTHERAPY:
        return _prescription(name, table.drugs[name].regimen, rng)
    return (name,)


def _prescription(drug: str, regimen: Regimen, rng: random.Random) -> tuple[str, ...]:
    return _said_of_drug(drug, dose_text(rng.choice(regimen.doses)), regimen)


def _said_of_drug(drug: str, dose: str, regimen: Regimen) -> tuple[str, ...]:
    return (drug, dose, regimen.unit, regimen.route, regimen.schedule)
