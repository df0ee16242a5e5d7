"""The closed list of exchangeable wordings: they mean the same where their condition holds, and nothing else does."""

from __future__ import annotations

import pytest

from medical_team.judge.exchangeable import Condition, Exchange, exchanges, plain_words, wording_words
from medical_team.judge.lexicon import (
    CONDITIONS,
    NEGATIONS,
    SIDES_AND_PLACES,
)
from medical_team.judge.wording import read

CONTRACTED = {
    wording for exchange in exchanges() for wording in exchange.wordings if exchange.wordings[0][-3:] == "not"
}


def in_context(wording: str, condition: Condition) -> list[str]:
    """Words in which ``wording`` stands where ``condition`` holds."""
    before = "5" if condition.is_after_number else min(condition.after, default="something")
    after = "5" if condition.is_before_number else min(condition.before, default="follows")
    return [before, *wording_words(wording), after]


@pytest.mark.parametrize("exchange", exchanges(), ids=lambda exchange: exchange.wordings[0])
def test_the_wordings_of_a_line_have_one_meaning(exchange: Exchange) -> None:
    assert len({plain_words(in_context(wording, exchange.condition)) for wording in exchange.wordings}) == 1


@pytest.mark.parametrize("exchange", exchanges(), ids=lambda exchange: exchange.wordings[0])
def test_a_wording_is_written_as_a_note_is_read(exchange: Exchange) -> None:
    for wording in exchange.wordings:
        assert read(wording.replace("_", " ")).words == wording_words(wording.replace("_", " "))


def test_nothing_on_the_list_decides_a_case() -> None:
    telling = NEGATIONS | CONDITIONS | SIDES_AND_PLACES
    for exchange in exchanges():
        for wording in exchange.wordings:
            told = telling.intersection(wording_words(wording)) - {"denies", "denied", "hiv"}
            assert not told or wording in CONTRACTED, wording


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("He reports fatigue.", "He states fatigue."),
        ("The patient reports that he has pain.", "The patient says that he has pain."),
        ("She was given 2 L of saline.", "She received 2 L of saline."),
        ("Her vital signs are within normal limits.", "Her vitals are normal."),
        ("He doesn't smoke.", "He does not smoke."),
        ("His father died of a stroke.", "His dad died from a stroke."),
        ("An x-ray of the chest shows dullness.", "A chest radiograph reveals dullness."),
        ("He has type 2 diabetes mellitus.", "He has type 2 diabetes."),
        ("She smokes 10 cigarettes a day.", "She smokes 10 cigarettes daily."),
        ("Pain began for the last 2 weeks.", "Pain started over the past 2 weeks."),
    ],
)
def test_exchanged_wordings_leave_a_sentence_as_it_is(one: str, other: str) -> None:
    assert read(one).plain == read(other).plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("He has a fever.", "He has a rash."),
        ("This suggests a stroke.", "This shows a stroke."),
        ("This is consistent with a stroke.", "This is a stroke."),
        ("He has pain.", "He reports pain."),
        ("His mental states change.", "His mental reports change."),
        ("He came a day after surgery.", "He came daily after surgery."),
        ("He got 10 mg a day after surgery.", "He got 10 mg daily after surgery."),
        ("He has no fever and chills.", "He has no fever as well as chills."),
        ("He has mild pain.", "He has severe pain."),
        ("Pulse is weak.", "Pulse rate is weak."),
        ("His family medical history is long.", "His family past medical history is long."),
        ("He had a biopsy.", "He has a biopsy."),
        ("It was started on Monday.", "It was began on Monday."),
        ("The examination is normal.", "The examination is abnormal."),
        ("The screening is done.", "He is done."),
        ("He often coughs.", "He occasionally coughs."),
        ("She is treated for asthma.", "She is diagnosed with asthma."),
        ("physical therapy", "physical treatment"),
    ],
)
def test_anything_else_makes_another_sentence(one: str, other: str) -> None:
    assert read(one).plain != read(other).plain
