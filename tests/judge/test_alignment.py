from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from judge_cases import CASE, CORRECTED_NOTE, CORRECTED_SENTENCE, ERROR_NOTE, ERROR_SENTENCE

from medical_team.judge.alignment import (
    MOST_CHANGES,
    ChangedSentence,
    SentenceChanges,
    differing_spans,
    is_harmless_reordering,
    sentence_changes,
)
from medical_team.words import split_sentences

words = st.lists(st.sampled_from("abc"), max_size=12).map(tuple)

INTRODUCTION = ("man", "has", "cough")
SOFT = ("abdomen", "is", "soft")
CLEAR = ("lungs", "are", "clear")
WARM = ("skin", "is", "warm")
LATER = ("later", "pulse", "is", "80")
MOTHER = ("his", "mother", "has", "rash")
FRAGMENT = ("positive", "for", "nitrites")
GIVEN = ("he", "is", "given", "fluids")
PICTURE = ("photograph", "of", "rash", "is", "shown")


def test_a_span_is_the_least_that_differs() -> None:
    (span,) = differing_spans(("diagnosis", "is", "flu", "today"), ("diagnosis", "is", "common", "cold", "today"))
    assert (span.before, span.after) == (("flu",), ("common", "cold"))
    assert span.before_in_context == ("is", "flu", "today")


def test_an_insertion_has_its_context_on_both_sides() -> None:
    (span,) = differing_spans(("the", "mild", "rash"), ("the", "rash"))
    assert (span.before, span.after, span.after_in_context) == (("mild",), (), ("the", "rash"))


@given(words, words)
def test_exchanging_all_spans_turns_one_text_into_the_other(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    counts = Counter(one)
    for span in differing_spans(one, other):
        counts.subtract(span.before)
        counts.update(span.after)
    assert +counts == Counter(other)


def test_sentences_that_stand_for_themselves_may_be_moved() -> None:
    assert is_harmless_reordering([INTRODUCTION, WARM, SOFT, CLEAR], [INTRODUCTION, SOFT, CLEAR, WARM])


def test_sentences_that_lean_on_their_place_may_not() -> None:
    assert not is_harmless_reordering([SOFT, INTRODUCTION], [INTRODUCTION, SOFT]), "the first introduces the patient"
    assert not is_harmless_reordering([INTRODUCTION, LATER, SOFT, CLEAR], [INTRODUCTION, SOFT, CLEAR, LATER])
    assert not is_harmless_reordering([INTRODUCTION, SOFT, CLEAR, FRAGMENT], [INTRODUCTION, CLEAR, SOFT, FRAGMENT])
    assert not is_harmless_reordering([INTRODUCTION, MOTHER, SOFT, CLEAR], [INTRODUCTION, MOTHER, CLEAR, SOFT])
    assert not is_harmless_reordering([INTRODUCTION, GIVEN, SOFT], [INTRODUCTION, SOFT, GIVEN])


def test_nothing_may_be_added_doubled_or_left_out_but_the_announcement_of_a_picture() -> None:
    original = [INTRODUCTION, SOFT, PICTURE, CLEAR]
    assert is_harmless_reordering([INTRODUCTION, CLEAR, SOFT], original)
    assert not is_harmless_reordering([INTRODUCTION, CLEAR, SOFT, PICTURE, PICTURE], original)
    assert not is_harmless_reordering([INTRODUCTION, SOFT, PICTURE], original)
    assert not is_harmless_reordering([INTRODUCTION, SOFT, CLEAR, CLEAR, PICTURE], original)
    assert not is_harmless_reordering([], original)


@given(
    st.lists(st.sampled_from([INTRODUCTION, SOFT, CLEAR, WARM, LATER, MOTHER, FRAGMENT, GIVEN]), max_size=8),
    st.randoms(),
)
def test_a_reordering_holds_the_same_sentences(original: list[tuple[str, ...]], chance: random.Random) -> None:
    shuffled = original.copy()
    chance.shuffle(shuffled)
    assert is_harmless_reordering(original, original)
    if is_harmless_reordering(shuffled, original):
        assert sorted(shuffled) == sorted(original)
        assert [s for s in shuffled if s in (LATER, MOTHER)] == [s for s in original if s in (LATER, MOTHER)]


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
