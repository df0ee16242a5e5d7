"""Whether what a sentence states is right for a condition, the rule by which every synthetic note is judged; and right
and wrong answers, drawn.

An answer that the table gives for the condition is right. Any other answer of the table is wrong, unless the table
calls it debatable. A right drug is wrong after all when a caution in the patient's history forbids it, when its dose is
the one for another history, or when its dose is far out of range: what is right depends on two facts of the note.
A wrong answer that is drawn is the common confusion, or one of the long tail of rare errors: what is said of the other
conditions of the group; for a drug also a dose ten times too high or too low, and what would be right for a patient
with another history: a drug that a caution forbids, a usual dose where one is adjusted, an adjusted dose without its
reason.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum

from ...records import ErrorType
from .language import FACT_KINDS, Sentence, SentenceKind
from .table import Choice, Condition, Regimen, medical_table

FAR_OUT_OF_RANGE = 5.0
"""A dose is an error from this many times the highest usual dose on, or from this fraction of the lowest down."""

_MILLIGRAMS = {"mcg": 0.001, "mg": 1.0, "g": 1000.0}


class Standing(Enum):
    """How a stated fact stands to the table."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCLEAR = "unclear"
    """The table does not say."""


@dataclass(frozen=True)
class FactRuling:
    """How a stated fact stands to the table, and why, as the rest of a sentence about the fact."""

    standing: Standing
    reason: str


def rule_on_fact(sentence: Sentence, condition: Condition, cautions: Collection[str]) -> FactRuling:
    """How the fact that ``sentence`` states stands to what the table says of ``condition``.

    Args:
        sentence: a sentence of one of the kinds of :data:`.language.FACT_KINDS`.
        condition: what the patient has.
        cautions: what the note says of the patient's history, by the short names of the table.

    Raises:
        KeyError: the sentence states no fact, or one that isn't in the table.
    """
    kind = FACT_KINDS[sentence.kind]
    choice = condition.choice(kind)
    if choice is None:
        return FactRuling(Standing.UNCLEAR, f"the table has no {kind.value} for {condition.name}")
    if medical_table().is_wrong(kind, sentence.fact, condition):
        return FactRuling(Standing.WRONG, f"{sentence.fact} is wrong for {condition.name}")
    if sentence.fact not in choice.right:
        return FactRuling(Standing.UNCLEAR, f"the table does not say if {sentence.fact} is wrong for {condition.name}")
    if sentence.kind is SentenceKind.PHARMACOTHERAPY:
        return _rule_on_prescription(sentence, condition, cautions)
    return FactRuling(Standing.RIGHT, f"{sentence.fact} is right for {condition.name}")


def cautions_of(backgrounds: Collection[str]) -> frozenset[str]:
    """The cautions among the earlier illnesses that a note states."""
    return frozenset(name for name, caution in medical_table().cautions.items() if caution.text in backgrounds)


def allowed_drugs(condition: Condition, cautions: Collection[str]) -> dict[str, Dosing]:
    """The right drugs of ``condition`` that have a right dose under ``cautions``, and that none of these forbids."""
    table = medical_table()
    allowed: dict[str, Dosing] = {}
    for name in condition.drug.right if condition.drug else ():
        given = dosing(name, condition, cautions)
        if given is not None and not {*table.drugs[name].avoid, *table.drugs[name].unclear}.intersection(cautions):
            allowed[name] = given
    return allowed


def forbidden_drugs(condition: Condition, cautions: Collection[str]) -> tuple[str, ...]:
    """The right drugs of ``condition`` that one of ``cautions`` turns into an error."""
    right = condition.drug.right if condition.drug else ()
    return tuple(name for name in right if set(medical_table().drugs[name].avoid).intersection(cautions))


@dataclass(frozen=True)
class Dosing:
    """How a drug is given to one patient."""

    regimen: Regimen
    """What is right."""
    others: tuple[tuple[float, ...], ...]
    """The doses that would be right for a patient with another history, and are an error here."""


def dosing(drug: str, condition: Condition, cautions: Collection[str]) -> Dosing | None:
    """How ``drug`` is given in ``condition`` under ``cautions``; None where the table doesn't say.

    The table gives adjusted doses for a drug's usual regimen and for one caution at a time.
    """
    table = medical_table()
    regimen, adjusted = table.regimen(drug, condition), table.drugs[drug].adjusted
    applying = {adjusted[caution] for caution in cautions if caution in adjusted}
    if drug in condition.regimens:
        return None if applying else Dosing(regimen, ())
    if len(applying) > 1:
        return None
    right = next(iter(applying), regimen.doses)
    others = dict.fromkeys(doses for doses in (regimen.doses, *adjusted.values()) if doses != right)
    return Dosing(replace(regimen, doses=right), tuple(others))


def _rule_on_prescription(sentence: Sentence, condition: Condition, cautions: Collection[str]) -> FactRuling:
    table = medical_table()
    drug = table.drugs[sentence.fact]
    for caution in drug.avoid:
        if caution in cautions:
            return FactRuling(Standing.WRONG, f"{drug.name} must not be given with {table.cautions[caution].text}")
    for caution in drug.unclear:
        if caution in cautions:
            reason = f"the table does not say if {drug.name} may be given with {table.cautions[caution].text}"
            return FactRuling(Standing.UNCLEAR, reason)
    given = dosing(drug.name, condition, cautions)
    if given is None:
        return FactRuling(Standing.UNCLEAR, f"the table has no dose of {drug.name} for these histories")
    regimen = given.regimen
    _, amount, unit, route, schedule = sentence.values
    if (route, schedule) != (regimen.route, regimen.schedule):
        reason = f"the table gives {drug.name} {regimen.route} {regimen.schedule} and says nothing of other ways"
        return FactRuling(Standing.UNCLEAR, reason)
    return _rule_on_dose(drug.name, float(amount), unit, given)


def _rule_on_dose(drug: str, amount: float, unit: str, given: Dosing) -> FactRuling:
    regimen = given.regimen
    dose = _in_unit(amount, unit, regimen.unit)
    if dose is None:
        return FactRuling(Standing.UNCLEAR, f"{unit} of {drug} can't be compared with {regimen.unit}")
    lowest, highest = min(regimen.doses), max(regimen.doses)
    # Rounding of the conversion must not push a dose over a bound.
    slack = 1e-9 * highest
    if _is_among(dose, regimen.doses, slack):
        return FactRuling(Standing.RIGHT, f"{drug} is right, and so is its dose")
    usual = f"the usual dose is {lowest:g} to {highest:g} {regimen.unit}"
    if any(_is_among(dose, doses, slack) for doses in given.others):
        reason = f"{amount:g} {unit} of {drug} is a dose for another history; for this patient {usual}"
        return FactRuling(Standing.WRONG, reason)
    if dose <= lowest / FAR_OUT_OF_RANGE + slack or dose >= highest * FAR_OUT_OF_RANGE - slack:
        return FactRuling(Standing.WRONG, f"{amount:g} {unit} of {drug} is far out of range, {usual}")
    return FactRuling(Standing.UNCLEAR, f"{amount:g} {unit} of {drug} is neither usual nor far out of range, {usual}")


def _is_among(dose: float, doses: Collection[float], slack: float) -> bool:
    return min(doses) - slack <= dose <= max(doses) + slack


def _in_unit(amount: float, unit: str, wanted: str) -> float | None:
    if unit == wanted:
        return amount
    if unit in _MILLIGRAMS and wanted in _MILLIGRAMS:
        return amount * _MILLIGRAMS[unit] / _MILLIGRAMS[wanted]
    return None


DOSE_ERROR = 10.0
"""A wrong dose is a usual one times or divided by this."""

_DRUG_MISTAKES = ("drug", "dose", "history", "history")


def draw_right(kind: ErrorType, condition: Condition, cautions: Collection[str], rng: random.Random) -> tuple[str, ...]:
    """What a sentence can rightly say.

    Raises:
        LookupError: nothing is right: the condition has no fact of this kind, or the cautions leave no drug.
    """
    if kind is not ErrorType.PHARMACOTHERAPY:
        return (rng.choice(_choice(kind, condition).right),)
    drug, given = rng.choice(list(allowed_drugs(condition, cautions).items()))
    return _prescription(drug, given.regimen, rng)


def draw_common_mistake(kind: ErrorType, condition: Condition, rng: random.Random) -> tuple[str, ...]:
    """The common confusion.

    Raises:
        LookupError: the condition has no fact of this kind.
    """
    return _said_of(_choice(kind, condition).mistaken, kind, rng)


def draw_rare_mistake(
    kind: ErrorType, condition: Condition, cautions: Collection[str], rng: random.Random
) -> tuple[str, ...] | None:
    """One of the long tail; None where the table has no rare error of this kind for the condition."""
    if condition.choice(kind) is None:
        return None
    if kind is ErrorType.PHARMACOTHERAPY:
        mistake = rng.choice(_DRUG_MISTAKES)
        of_other_history = right_for_another_history(condition, cautions)
        if mistake == "history" and of_other_history:
            drug, regimen = rng.choice(of_other_history)
            return _prescription(drug, regimen, rng)
        if mistake == "dose" and (drugs := allowed_drugs(condition, cautions)):
            drug, given = rng.choice(list(drugs.items()))
            return _said_of_drug(drug, rng.choice(wrong_doses(given.regimen)), given.regimen)
    confusions = medical_table().confusions(kind, condition)
    return _said_of(rng.choice(confusions), kind, rng) if confusions else None


def _choice(kind: ErrorType, condition: Condition) -> Choice:
    choice = condition.choice(kind)
    if choice is None:
        raise LookupError(f"the table has no {kind.value} for {condition.name}")
    return choice


def right_for_another_history(condition: Condition, cautions: Collection[str]) -> tuple[tuple[str, Regimen], ...]:
    """Drugs with doses that are an error under ``cautions``, and right for patients with another history."""
    forbidden = forbidden_drugs(condition, cautions)
    found = [(drug, medical_table().regimen(drug, condition)) for drug in forbidden]
    for drug, given in allowed_drugs(condition, cautions).items():
        found += [(drug, replace(given.regimen, doses=doses)) for doses in given.others]
    return tuple(found)


def wrong_doses(regimen: Regimen) -> tuple[str, str]:
    """The dose that is far too low and the one that is far too high, as they are written."""
    return dose_text(min(regimen.doses) / DOSE_ERROR), dose_text(max(regimen.doses) * DOSE_ERROR)


def dose_text(dose: float) -> str:
    """A dose as it is written."""
    return f"{dose:.6g}"


def _said_of(name: str, kind: ErrorType, rng: random.Random) -> tuple[str, ...]:
    if kind is ErrorType.PHARMACOTHERAPY:
        return _prescription(name, medical_table().drugs[name].regimen, rng)
    return (name,)


def _prescription(drug: str, regimen: Regimen, rng: random.Random) -> tuple[str, ...]:
    return _said_of_drug(drug, dose_text(rng.choice(regimen.doses)), regimen)


def _said_of_drug(drug: str, dose: str, regimen: Regimen) -> tuple[str, ...]:
    return (drug, dose, regimen.unit, regimen.route, regimen.schedule)
