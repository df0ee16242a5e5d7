from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.judge.questions import AnswerScores, Vote, decide, logistic, vote_of

odds = st.floats(-1000, 1000)


def test_a_vote_is_the_margin_over_the_likeliest_other_answer() -> None:
    scores = AnswerScores((-1.0, -3.0, -2.5))
    assert vote_of(scores, 0) == Vote(1.5, is_calibrated=True)
    assert vote_of(scores, 1) == Vote(-2.0, is_calibrated=True)


def test_one_answer_decides_with_its_own_probability() -> None:
    decision = decide([Vote(math.log(4), is_calibrated=True)])
    assert decision.probability == pytest.approx(0.8)
    assert decision.confidence == pytest.approx(0.8)


def test_a_liking_for_one_letter_cancels_out() -> None:
    # the model says A whatever is asked; A means an error in the first wording and none in the second
    decision = decide([Vote(3.0, is_calibrated=True), Vote(-3.0, is_calibrated=True)])
    assert decision.probability == 0.5


def test_a_sure_vote_counts_for_more_than_two_unsure_ones() -> None:
    votes = [Vote(4.0, True), Vote(-0.5, True), Vote(-0.5, True)]
    assert decide(votes).probability > 0.5


def test_votes_without_probabilities_are_counted() -> None:
    votes = [Vote(1.0, False), Vote(1.0, False), Vote(-1.0, False), Vote(1.0, False)]
    assert decide(votes).probability == 0.75
    assert decide(votes).confidence == 0.75
    assert decide(votes[:1]).confidence is None
    assert decide(votes[1:3]).probability == 0.5


@given(st.lists(odds, min_size=1, max_size=6))
def test_the_confidence_is_that_of_the_likelier_answer(values: list[float]) -> None:
    decision = decide([Vote(value, is_calibrated=True) for value in values])
    assert 0 <= decision.probability <= 1
    assert decision.confidence is not None
    assert 0.5 <= decision.confidence <= 1


@given(odds)
def test_probabilities_of_two_answers_sum_to_one(value: float) -> None:
    assert logistic(value) + logistic(-value) == pytest.approx(1)
