from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE

from medical_team.judge.reference import PairIndex

OTHER = replace(
    CASE,
    case_id="case-2",
    error_note="A boy has an itchy elbow since he swam in a lake. He receives surgery.",
    corrected_note="A boy has an itchy elbow since he swam in a lake. He receives reassurance.",
)
TWIN = replace(CASE, case_id="case-3", corrected_note=ERROR_NOTE.replace("pulmonary embolism", "acute bronchitis"))


def test_the_same_words_are_found_whatever_they_look_like() -> None:
    index = PairIndex([CASE, OTHER])
    assert index.candidates(CORRECTED_NOTE.upper().replace(" ", "\n")) == [CASE]
    assert index.candidates(OTHER.error_note) == [OTHER]


def test_the_clearly_nearest_case_is_found() -> None:
    index = PairIndex([CASE, OTHER])
    assert index.candidates(ERROR_NOTE.replace("pulmonary embolism", "something else")) == [CASE]


def test_a_note_from_elsewhere_has_no_case() -> None:
    assert PairIndex([CASE, OTHER]).candidates("The weather is fine and the boy swims.") == []
    assert PairIndex([]).candidates(ERROR_NOTE) == []
    assert PairIndex([CASE]).candidates("") == []


def test_among_near_duplicates_nobody_can_tell() -> None:
    index = PairIndex([CASE, OTHER, TWIN])
    assert index.candidates(ERROR_NOTE.replace("pulmonary embolism", "something else")) == []
    assert index.candidates(ERROR_NOTE) == [CASE, TWIN]


def test_a_pair_given_twice_counts_once() -> None:
    assert len(PairIndex([CASE, CASE])) == 1


@given(st.text())
def test_any_text_can_be_looked_up(text: str) -> None:
    assert PairIndex([CASE, OTHER]).candidates(text) == []
