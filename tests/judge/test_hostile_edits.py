"""Edits that exchange no word, or only harmless ones, and turn what a note says: the reference judge abstains."""

from __future__ import annotations

from dataclasses import replace

import pytest
from judge_cases import CASE, CORRECTED_SENTENCE, ERROR_SENTENCE

from medical_team.judge.rewrite import Case, find

START = "A 34-year-old woman comes to the physician because of a cough."


def found(before: str, after: str) -> bool | None:
    """What the judge says of a correct note in which ``before`` became ``after``."""
    correct = f"{START} {before} {CORRECTED_SENTENCE}"
    wrong = f"{START} {before} {ERROR_SENTENCE}"
    pair = replace(
        CASE,
        error_note=wrong,
        corrected_note=correct,
        error_sentence=ERROR_SENTENCE,
        corrected_sentence=CORRECTED_SENTENCE,
    )
    return find(f"{START} {after} {CORRECTED_SENTENCE}", Case.of(pair)).error_present


HOSTILE = {
    "a comma behind a negation": ("She has no pain with movement.", "She has no pain, with movement."),
    "brackets behind a negation": ("She has no pain with movement.", "She has no pain (with movement)."),
    "a dash behind a negation": ("She has no pain with movement.", "She has no pain — with movement."),
    "a comma moved behind a negation": ("She has no pain, cough with fever.", "She has no pain cough, with fever."),
    "quotation marks of doubt": ("She has a rash.", 'She has a "rash".'),
    "single quotation marks of doubt": ("She has a rash.", "She has a 'rash'."),
    "a comma moved between the sides": (
        "The left leg is warm, the right cold.",
        "The left leg is warm the right, cold.",
    ),
    "a question mark left out": ("She has a rash?", "She has a rash."),
    "whose disease, by a full stop": ("Her father has gout and asthma.", "Her father has gout. And asthma."),
    "whose disease, by a full stop moved": ("Mother healthy. Father with gout.", "Mother healthy father. With gout."),
    "when it was, by a full stop moved": ("She was well. 2 days ago she fell.", "She was well 2 days ago. She fell."),
    "a letter that is no article": ("The neck shows cannon a waves.", "The neck shows cannon waves."),
    "a letter that names lines": ("There are A lines.", "There are lines."),
    "a letter that names a kind": ("Hemoglobin A and F are seen.", "Hemoglobin and F are seen."),
    "which knee a sentence speaks of": (
        "The right knee is swollen. Range of motion is limited. The left knee is normal.",
        "The right knee is swollen. The left knee is normal. Range of motion is limited.",
    ),
    "which fluid a figure belongs to": (
        "The cerebrospinal fluid is clear. Glucose is 40 mg/dL. The serum is clear. Glucose is 90 mg/dL.",
        "The cerebrospinal fluid is clear. Glucose is 90 mg/dL. The serum is clear. Glucose is 40 mg/dL.",
    ),
    "which of two examinations came first": (
        "Examination shows a rash. The abdomen is soft. Examination shows no rash.",
        "Examination shows no rash. The abdomen is soft. Examination shows a rash.",
    ),
    "another disease of the same letters": ("She has CAD.", "She has coronary artery disease."),
    "another fever": ("She had familial Mediterranean fever.", "She had familial Mediterranean pyrexia."),
    "the last as the final": ("She was ill during the last trimester.", "She was ill over the past trimester."),
    "an abbreviation that is no pressure": (
        "Antibodies against BP antigens.",
        "Antibodies against blood pressure antigens.",
    ),
}


@pytest.mark.parametrize(("before", "after"), HOSTILE.values(), ids=HOSTILE)
def test_the_judge_does_not_rule(before: str, after: str) -> None:
    assert found(before, before) is False
    assert found(before, after) is None


HARMLESS = {
    "commas left out": ("She has no pain, fever, or rash.", "She has no pain fever or rash."),
    "quotation marks left out": ('She has a "cold".', "She has a cold."),
    "other quotation marks": ('She has a "cold".', "She has a “cold”."),
    "an apostrophe": ("The patient's pulse is 80/min.", "The patient’s pulse is 80/min."),
    "a comma where nothing is denied": ("She smokes and drinks.", "She smokes, and drinks."),
    "a semicolon for a full stop": ("She smokes. She drinks.", "She smokes; she drinks."),
    "no full stops": ("She smokes. She drinks.", "She smokes she drinks"),
    "an abbreviation of pressure": ("Her blood pressure is 120/80 mm Hg.", "Her BP is 120/80 mmHg."),
    "the past": ("She has had a fever for the last 3 days.", "She has had a fever over the past 3 days."),
    "sentences that name their subject moved": (
        "The abdomen is soft. Cardiac examination shows no murmurs.",
        "Cardiac examination shows no murmurs. The abdomen is soft.",
    ),
}


@pytest.mark.parametrize(("before", "after"), HARMLESS.values(), ids=HARMLESS)
def test_what_turns_nothing_is_still_ruled_on(before: str, after: str) -> None:
    assert found(before, after) is False
