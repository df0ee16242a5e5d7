import pytest
from hypothesis import given
from hypothesis import strategies as st

from medec_builders import CORRECTION, HARMFUL, SAFE, SENTENCES, UNREADABLE, a_correct_text, an_error_text
from medical_team.evaluation.medec_texts import MedecText
from medical_team.evaluation.predictions import (
    BASELINES,
    Vote,
    answer_of,
    answers_of,
    baseline_predictions,
    prediction_of,
)
from medical_team.evaluation.submission import Answer


@pytest.mark.parametrize("text", [an_error_text(), a_correct_text()])
def test_a_reply_that_cannot_be_read_is_right_of_no_text_and_has_no_line(text: MedecText) -> None:
    prediction = prediction_of(text, [UNREADABLE])

    assert prediction.flag is None
    assert not prediction.is_flag_right
    assert answer_of(prediction) is None


@pytest.mark.parametrize(
    ("votes", "flag"),
    [
        ([HARMFUL, HARMFUL, SAFE], True),
        ([HARMFUL, SAFE, SAFE], False),
        ([HARMFUL, UNREADABLE, UNREADABLE], True),
        ([HARMFUL, SAFE], None),
        ([HARMFUL, SAFE, UNREADABLE], None),
        ([UNREADABLE] * 3, None),
    ],
)
def test_the_majority_of_the_readable_votes_counts_and_even_votes_are_no_verdict(
    votes: list[Vote], flag: bool | None
) -> None:
    assert prediction_of(an_error_text(), votes).flag is flag


@given(st.lists(st.sampled_from([HARMFUL, SAFE, UNREADABLE])))
def test_unreadable_votes_never_change_the_verdict(votes: list[Vote]) -> None:
    readable = [vote for vote in votes if vote.flag is not None]

    assert prediction_of(an_error_text(), votes).flag is prediction_of(an_error_text(), readable).flag


def test_the_sentence_that_most_votes_name_is_taken_with_its_first_correction() -> None:
    votes = [Vote("", True, 0, "x"), Vote("", True, 1, "y"), Vote("", True, 1, "z"), SAFE]

    prediction = prediction_of(an_error_text(), votes)

    assert (prediction.sentence_id, prediction.correction) == (1, "y")


def test_a_text_held_correct_has_the_line_that_the_organisers_want() -> None:
    assert answer_of(prediction_of(a_correct_text("b"), [SAFE])) == Answer("b", "0", "-1", "NA")


def test_a_correction_is_written_as_it_is_scored_after_reading_it_back() -> None:
    prediction = prediction_of(an_error_text("a"), [Vote("", True, 1, ' "He is given\n500 mg."  ')])

    assert answer_of(prediction) == Answer("a", "1", "1", "He is given 500 mg.")


def test_a_flag_alone_has_no_sentence_and_no_correction() -> None:
    assert answer_of(prediction_of(an_error_text("a"), [HARMFUL])) == Answer("a", "1", "-1", "NA")


@pytest.mark.parametrize(
    ("baseline", "of_error", "of_correct"),
    [
        ("all-safe", Answer("a", "0", "-1", "NA"), Answer("b", "0", "-1", "NA")),
        ("all-harmful", Answer("a", "1", "-1", "NA"), Answer("b", "1", "-1", "NA")),
        ("all-harmful-last", Answer("a", "1", "2", SENTENCES[2]), Answer("b", "1", "2", SENTENCES[2])),
        ("copy-oracle", Answer("a", "1", "1", SENTENCES[1]), Answer("b", "0", "-1", "NA")),
    ],
)
def test_baselines(baseline: str, of_error: Answer, of_correct: Answer) -> None:
    texts = [an_error_text("a"), a_correct_text("b")]

    assert answers_of(baseline_predictions(baseline, texts)) == {"a": of_error, "b": of_correct}


def test_no_baseline_but_the_oracle_looks_at_the_truth() -> None:
    disguised = a_correct_text("a", sentences=SENTENCES)
    for name in BASELINES.keys() - {"copy-oracle"}:
        assert answers_of(baseline_predictions(name, [an_error_text("a")])) == answers_of(
            baseline_predictions(name, [disguised])
        )


def test_a_prediction_holds_no_word_of_the_text() -> None:
    assert CORRECTION not in repr(prediction_of(a_correct_text(), [SAFE]))
