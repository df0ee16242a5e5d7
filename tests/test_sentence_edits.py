"""A note by its sentences, and the edits that an attacker's answer makes of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.sentences import NumberedNote, moved_starts, read_edits, starts_of

NOTE = "He has fever.  CT shows a mass.\nHe takes 5 mg of A. 2: twice daily."
SEED = NumberedNote(
    NOTE, starts_of(NOTE, dict(enumerate(["He has fever.", "CT shows a mass.", "He takes 5 mg of A. 2: twice daily."])))
)


def test_a_note_is_shown_with_the_numbers_of_its_file() -> None:
    assert SEED.starts == (0, 15, 32)
    assert SEED.written() == "0: He has fever.\n1: CT shows a mass.\n2: He takes 5 mg of A. 2: twice daily."


def test_where_the_file_numbers_none_the_note_is_split() -> None:
    assert NumberedNote("He coughs. He rests.").written() == "0: He coughs.\n1: He rests."


def test_an_edit_exchanges_one_sentence_and_nothing_else() -> None:
    edited = SEED.edited({1: "CT reveals a large mass."})

    assert edited.text == "He has fever.  CT reveals a large mass.\nHe takes 5 mg of A. 2: twice daily."
    assert edited.sentences == ["He has fever.", "CT reveals a large mass.", "He takes 5 mg of A. 2: twice daily."]


@pytest.mark.parametrize(
    ("answer", "edits"),
    [
        ("1: CT reveals a mass.", {1: "CT reveals a mass."}),
        ("  1 : CT reveals a mass.  ", {1: "CT reveals a mass."}),
        ("- 1: CT reveals a mass.", {1: "CT reveals a mass."}),
        ("1：CT reveals a mass.", {1: "CT reveals a mass."}),
        ("١: أظهر التصوير كتلة", {1: "أظهر التصوير كتلة"}),
        ("\u2067١: أظهر التصوير كتلة\u2069", {1: "أظهر التصوير كتلة"}),
        ("١\u200f: أظهر التصوير كتلة", {1: "أظهر التصوير كتلة"}),
        ("1\u200b: CT reveals a mass.", {1: "CT reveals a mass."}),
        ("**1:** CT reveals a mass.", {1: "CT reveals a mass."}),
        ("**1**: CT reveals a mass.", {1: "CT reveals a mass."}),
        ("[1]: CT reveals a mass.", {1: "CT reveals a mass."}),
        ("1: **CT reveals a mass.**", {1: "CT reveals a mass."}),
        ("1: ___ reveals a mass of ___", {1: "___ reveals a mass of ___"}),
        ("1: *a* mass in *b*", {1: "*a* mass in *b*"}),
        ("Sentence 1: CT reveals a mass.", {1: "CT reveals a mass."}),
        ("0: He is hot.\r\n1: CT reveals a mass.\r\n", {0: "He is hot.", 1: "CT reveals a mass."}),
        ("```\n1: CT reveals a mass.\n```", {1: "CT reveals a mass."}),
        ("2: He takes 50 mg of A. 2: twice daily.", {2: "He takes 50 mg of A. 2: twice daily."}),
        ("1: CT, 10: 30 am, reveals a mass.", {1: "CT, 10: 30 am, reveals a mass."}),
        ("2: He takes 5 mg of B. 2: twice daily.", {2: "He takes 5 mg of B. 2: twice daily."}),
        ("\n\n0: He is hot.\n\n1: CT reveals a mass.\n", {0: "He is hot.", 1: "CT reveals a mass."}),
        ("0: He has fever.\n1: CT reveals a mass.", {0: "He has fever.", 1: "CT reveals a mass."}),
        ("1: CT </note> reveals <answer> a mass.", {1: "CT </note> reveals <answer> a mass."}),
    ],
)
def test_answers_that_are_edits(answer: str, edits: dict[int, str]) -> None:
    assert read_edits(answer, SEED, max_edits=2) == edits


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "no public answer"),
        (" \n. ", "no public answer"),
        ("CT reveals a mass.", "not a number, a colon and a sentence"),
        ("1 CT reveals a mass.", "not a number, a colon and a sentence"),
        ("-1: CT reveals a mass.\nbecause I say so", "not a number"),
        ("1. CT reveals a mass.", "not a number"),
        ("I: CT reveals a mass.", "not a number"),
        ("0-1: He has fever and a mass.", "not a number"),
        ("0.5: CT reveals a mass.", "not a number"),
        ('{"1": "CT reveals a mass."}', "not a number"),
        ("1: CT reveals a mass.\n(No other changes.)", "not a number"),
        ("0: He has fever and CT shows a mass.\n1:", "sentence 1 is empty"),
        ("1:\u00a0CT\u200b shows a mass.", "change nothing"),
        ("3: He is well.", "edits sentence 3, and the last one is 2"),
        ("999999: He is well.", "edits sentence 999999"),
        ("1: CT reveals a mass.\n1: CT is clear.", "edits sentence 1 twice"),
        ("1:", "sentence 1 is empty"),
        ("1: ...", "sentence 1 is empty"),
        ("0: He has fever. He also has a rash.", "writes 2 sentences where sentence 0 is 1"),
        ("1: CT shows a mass.", "change nothing"),
        ("1: ct shows a MASS", "change nothing"),
        ("0: He is hot.\n1: CT is clear.\n2: He takes B.", "3 lines, and 2 may be edited"),
    ],
)
def test_answers_that_are_no_revision(answer: str, reason: str) -> None:
    assert reason in str(read_edits(answer, SEED, max_edits=2))


@pytest.mark.parametrize(("before", "after"), [("< 2", "> 2"), ("1,5", "15"), ("120/80", "12080"), ("-5", "5")])
def test_another_number_is_an_edit_that_changes_something(before: str, after: str) -> None:
    seed = NumberedNote(f"It was {before} today. He rests.")

    assert read_edits(f"0: It was {after} today.", seed, 1) == {0: f"It was {after} today."}


def test_the_number_of_the_sentence_at_stake_is_that_of_the_edited_note_too() -> None:
    edited = SEED.edited({0: "The patient has had a high fever for days."})

    assert SEED.number_of("CT shows a mass.") == edited.number_of("CT shows a mass.") == 1
    assert SEED.number_of("MRI is clear.") is None


def test_sentences_that_are_not_all_of_the_text_have_no_starts() -> None:
    assert starts_of("He coughs. He rests.", {0: "He coughs."}) == ()
    assert starts_of("He coughs. He rests.", {1: "He coughs.", 2: "He rests."}) == ()
    assert starts_of("He\ncoughs. He rests.", {0: "He coughs.", 1: "He rests."}) == (0, 11)


sentence = st.from_regex(r"[A-Z][a-z]{1,8}( [a-z]{1,8}){0,4}\.", fullmatch=True)


@given(st.lists(sentence, min_size=1, max_size=6), st.data())
def test_starts_follow_a_change_of_one_sentence(sentences: list[str], data: st.DataObject) -> None:
    text = " ".join(sentences)
    starts = starts_of(text, dict(enumerate(sentences)))
    number = data.draw(st.integers(0, len(sentences) - 1))
    edited = NumberedNote(text, starts).edited({number: data.draw(sentence)})

    assert moved_starts(starts, text, edited.text) == edited.starts


@given(st.text(), st.text(), st.integers(1, 4))
def test_no_text_breaks_anything(note: str, answer: str, max_edits: int) -> None:
    seed = NumberedNote(note)
    edits = read_edits(answer, seed, max_edits)

    if not isinstance(edits, str):
        edited = seed.edited(edits)
        assert len(edited.spans) == len(seed.spans)
        for number, sentence in enumerate(edited.sentences):
            assert sentence == edits.get(number, seed.sentences[number])
