"""Which sentences of its case's note were rewritten."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from judge_cases import CASE, CORRECTED_NOTE, CORRECTED_SENTENCE, ERROR_NOTE, ERROR_SENTENCE

from medical_team.judge.changed_sentences import MOST_CHANGES, ChangedSentence, SentenceChanges, sentence_changes
from medical_team.sentences import split_sentences


def test_a_rewritten_sentence_is_told_before_and_after_with_the_truth_before() -> None:
    change = ChangedSentence("Her sister had a rash.", "Her sister had a fever.")
    assert sentence_changes(ERROR_NOTE.replace(change.before, change.after), CASE) == SentenceChanges(True, (change,))
    assert sentence_changes(CORRECTED_NOTE.replace(change.before, change.after), CASE) == SentenceChanges(
        False, (change,)
    )


def test_what_was_added_or_left_out_has_one_side() -> None:
    added = sentence_changes(f"{ERROR_NOTE} She is pregnant.", CASE)
    left_out = sentence_changes(ERROR_NOTE.replace("Her sister had a rash. ", ""), CASE)
    assert added == SentenceChanges(True, (ChangedSentence("", "She is pregnant."),))
    assert left_out == SentenceChanges(True, (ChangedSentence("Her sister had a rash.", ""),))


def test_an_exchanged_sentence_at_stake_belongs_to_the_note_that_it_is_nearer_to() -> None:
    exchanged = sentence_changes(ERROR_NOTE.replace("pulmonary embolism", "pulmonary fibrosis"), CASE)
    assert exchanged == SentenceChanges(
        True, (ChangedSentence(ERROR_SENTENCE, "The diagnosis is pulmonary fibrosis."),)
    )


def test_a_sentence_as_near_to_both_is_compared_with_the_correct_one() -> None:
    other = sentence_changes(ERROR_NOTE.replace(ERROR_SENTENCE, "The diagnosis is acute bronchitis."), CASE)
    assert other is not None
    assert other.changed[0].before == CORRECTED_SENTENCE
    assert not other.seed_has_error


def test_neighbours_that_changed_together_are_one() -> None:
    changed = sentence_changes(ERROR_NOTE.replace("rash. She takes", "rash? He takes"), CASE)
    assert changed is not None
    assert len(changed.changed) == 1
    assert changed.changed[0].after.startswith("Her sister had a rash? He takes")


def test_nothing_is_told_of_a_note_that_is_the_same_or_another() -> None:
    assert sentence_changes(ERROR_NOTE.replace(" ", "\n "), CASE) is None
    assert sentence_changes("A note of nobody's.", CASE) is None
    rewritten = [f"{sentence} Really." for sentence in split_sentences(ERROR_NOTE)[: MOST_CHANGES + 1]]
    assert sentence_changes(" ".join([*rewritten, *split_sentences(ERROR_NOTE)[MOST_CHANGES + 1 :]]), CASE) is None


def test_a_note_of_one_sentence_can_be_rewritten() -> None:
    pair = replace(CASE, error_note="He has gout.", corrected_note="He has scurvy.")
    assert sentence_changes("He has some gout.", pair) == SentenceChanges(
        True, (ChangedSentence("He has gout.", "He has some gout."),)
    )


@given(st.text(max_size=200))
def test_any_text_can_be_compared(text: str) -> None:
    changes = sentence_changes(text, CASE)
    assert changes is None or 0 < len(changes.changed) <= MOST_CHANGES
