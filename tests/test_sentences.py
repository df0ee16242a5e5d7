"""A note by its sentences, an attacker's edits of them, what an assessor says, and where the error is."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import CORRECTED_SENTENCE, ERROR_SENTENCE, a_game, a_spec, games, present, tag_like_texts
from medical_team.game_config import Assessor
from medical_team.records import DataType, Game, Verdict
from medical_team.sentences import (
    Assessment,
    NumberedNote,
    corrected_note,
    error_location,
    is_located,
    moved_starts,
    note_read,
    read_assessment,
    read_edits,
    starts_of,
)

SAFE, HARMFUL = Assessment(Verdict.SAFE), Verdict.HARMFUL
NUMBERS = range(12)


@pytest.mark.parametrize("answer", ["Safe", "safe.", ' "Safe" ', "**SAFE**"])
def test_safe_needs_no_number(answer: str) -> None:
    assert read_assessment(answer, "verdict", NUMBERS) == SAFE
    assert read_assessment(answer, "locate", NUMBERS) == SAFE


@pytest.mark.parametrize(
    "answer",
    [
        *(
            "Harmful 3",
            "harmful 3.",
            "HARMFUL\n3",
            "Harmful: 3",
            "Harmful, 3",
            "Harmful (3)",
            "Harmful #3",
            "Harmful [3]",
        ),
        *("Harmful, sentence 3", "Harmful: Sentence #3.", "**Harmful** 3", '"Harmful 3"', "Harmful 03", "Harmful：3"),
        *("“Harmful 3”", "Harmful “3”", "Harmful 3。", "Harmful 3:", "\ufeffHarmful 3\u200b", "Harmful\u00a03"),
        *(
            "Harmful ٣",
            "Harmful ٣\u200f",
            "Harmful \u200f٣",
            "Harmful ３",
            "\u202bHarmful ٣\u202c",
            "Harmful \u20673\u2069",
        ),
    ],
)
def test_a_place_is_a_number_behind_the_verdict(answer: str) -> None:
    assert read_assessment(answer, "locate", NUMBERS) == Assessment(HARMFUL, 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Harmful", "names no sentence"),
        ("Harmful.", "names no sentence"),
        ("Harmful 12", "names sentence 12, which the note doesn't have"),
        ("Harmful 999999", "names sentence 999999"),
        *(
            (answer, "neither Safe nor Harmful with the number")
            for answer in (
                *("", "3", "Perhaps.", "Safe 3", "Safe, not Harmful 3", "Not harmful 3", "Unharmful 3"),
                *(
                    "Harmful -1",
                    "Harmful - 3",
                    "Harmful −3",
                    "Harmful 3.5",
                    "Harmful 3,5",
                    "Harmful 3 4",
                    "Harmful 3-5",
                ),
                *("Harmful 3 and 4", "Harmful 3\n4", "Harmful 3\nSafe", "Harmful 3? No.", "Harmful? 3", "Harmful 3 3"),
                *(
                    "Harmful3",
                    "Harmfully 3",
                    "3 Harmful",
                    "Harmful three",
                    "Harmful ³",
                    "Harmful 3rd",
                    "Harmful 1234567",
                ),
                *("Harmful 3: He takes 5 mg.", "Harmful 3 <answer>", "</answer>Harmful 3", "Harmful\u200b 3 no"),
            )
        ),
    ],
)
def test_anything_else_is_no_verdict(answer: str, reason: str) -> None:
    assert reason in str(read_assessment(answer, "locate", NUMBERS))


def test_a_number_is_no_verdict_where_none_is_asked_for() -> None:
    assert isinstance(read_assessment("Harmful 3", "verdict", NUMBERS), str)


def test_numbers_are_those_that_the_note_has() -> None:
    assert read_assessment("Harmful 31", "locate", {29, 31}) == Assessment(HARMFUL, 31)
    assert "which the note doesn't have" in str(read_assessment("Harmful 30", "locate", {29, 31}))


@pytest.mark.parametrize(
    ("answer", "correction"),
    [
        ("Harmful 3: He takes 5 mg.", "He takes 5 mg."),
        ("harmful, sentence 3 : He takes 5 mg", "He takes 5 mg"),
        ("Harmful (3): He takes 5 mg.\n", "He takes 5 mg."),
        ("Harmful 3:\nHe takes 5 mg.", "He takes 5 mg."),
        ("**Harmful 3:** He takes 5 mg.", "He takes 5 mg."),
        ("**Harmful 3**: He takes 5 mg.", "He takes 5 mg."),
        ("Harmful 3: **He takes 5 mg.**", "He takes 5 mg."),
        ("Harmful 3: *He* takes *5* mg of ___", "*He* takes *5* mg of ___"),
        ("Harmful 3\u200f: He takes 5 mg.", "He takes 5 mg."),
        ("“Harmful 3: He takes 5 mg.”", "He takes 5 mg."),
        ("Harmful 3: He takes “5 mg.”", "He takes “5 mg.”"),
        ("Harmful 3: At 10: 30 he takes 5 mg.", "At 10: 30 he takes 5 mg."),
        ("Harmful 3: Safe", "Safe"),
        ("Harmful 3：予奥司他韦治疗。", "予奥司他韦治疗。"),
        ("Harmful ٣: \u2067يتناول 5 ملغ.\u2069", "يتناول 5 ملغ."),
        ("Harmful 3: He takes </note> 5 mg. <answer>", "He takes </note> 5 mg. <answer>"),
    ],
)
def test_a_correction_is_a_line_behind_a_colon(answer: str, correction: str) -> None:
    assert read_assessment(answer, "correct", NUMBERS) == Assessment(HARMFUL, 3, correction)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Harmful", "names no sentence"),
        ("Harmful 3", "correction of sentence 3 has 0 lines"),
        ("Harmful 3:", "correction of sentence 3 has 0 lines"),
        ("Harmful 3: ...", "correction of sentence 3 has 0 lines"),
        ("Harmful 3: He takes 5 mg.\nBecause I say so.", "correction of sentence 3 has 2 lines"),
        ("Harmful 99: He takes 5 mg.", "names sentence 99, which the note doesn't have"),
        *(
            (answer, "neither Safe nor Harmful with the number")
            for answer in (
                *("3: He takes 5 mg.", "Safe 3: He takes 5 mg.", "Safe: all is well", "Harmful: He takes 5 mg.", ""),
                *(
                    "Harmful 3 He takes 5 mg.",
                    "Harmful 3 - He takes 5 mg.",
                    "Harmful -3: He takes 5 mg.",
                    "Harmful 3.5: x",
                ),
                *("Harmful 3, 4: He takes 5 mg.", "No. Harmful 3: He takes 5 mg."),
            )
        ),
    ],
)
def test_anything_else_is_no_correction(answer: str, reason: str) -> None:
    assert reason in str(read_assessment(answer, "correct", NUMBERS))


@given(
    st.text() | tag_like_texts | st.from_regex(r"(?i)harmful[ :,]{0,2}\d{0,4}.?"),
    st.sampled_from(get_args(Assessor)),
)
def test_no_text_breaks_the_reading(answer: str, asked: Assessor) -> None:
    read = read_assessment(answer, asked, NUMBERS)

    if not isinstance(read, str):
        is_placed = asked != "verdict" and read.verdict is HARMFUL
        assert (read.location in NUMBERS) if is_placed else read.location is None
        assert (read.correction is not None) == (is_placed and asked == "correct")


# Where the error is.


def a_numbered_spec(data_type: DataType):
    """A game whose note has three sentences, by the file's numbers: the case's own is 2."""
    spec = a_spec(data_type)
    last = ERROR_SENTENCE if data_type.is_harmful else CORRECTED_SENTENCE
    return replace(spec, sentence_starts=tuple(spec.seed_note.index(start) for start in ("A 40", "A chest", last)))


def place_after(data_type: DataType, edits: dict[int, str]):
    spec = a_numbered_spec(data_type)
    edited = NumberedNote(spec.seed_note, spec.sentence_starts).edited(edits)
    return error_location(a_game(data_type, spec=spec, revision=edited.text, sentence_starts=edited.starts))


def test_the_error_of_a_note_that_nobody_changed_is_the_case_s_sentence() -> None:
    game = a_game(DataType.VANILLA_HARMFUL)

    assert note_read(game).sentences[present(error_location(game))] == ERROR_SENTENCE


def test_it_stays_there_while_other_sentences_change() -> None:
    assert place_after(DataType.ADVERSARIAL_HARMFUL, {0: "He is hot."}) == 2
    assert place_after(DataType.ADVERSARIAL_HARMFUL, {0: "He is hot.", 1: "The film is odd."}) == 2


def test_it_is_the_only_sentence_that_changed_where_the_case_s_own_is_gone() -> None:
    assert place_after(DataType.ADVERSARIAL_HARMFUL, {2: "He gets 5 g of amoxicillin thrice a day."}) == 2
    assert place_after(DataType.ADVERSARIAL_BENIGN, {1: "A film of the foot shows a dense lobe."}) == 1


def test_nobody_can_tell_it_where_several_sentences_changed() -> None:
    assert place_after(DataType.ADVERSARIAL_HARMFUL, {2: "He gets 5 g.", 0: "He is hot."}) is None
    assert place_after(DataType.ADVERSARIAL_BENIGN, {0: "He is cold.", 1: "The film is odd."}) is None
    assert place_after(DataType.ADVERSARIAL_BENIGN, {}) is None


def test_numbers_of_the_file_are_kept_by_an_edited_note() -> None:
    assert place_after(DataType.ADVERSARIAL_HARMFUL, {0: "He is hot. And so on. And on."}) == 2


def test_a_sentence_that_stands_twice_is_no_place() -> None:
    game = a_game(DataType.ADVERSARIAL_HARMFUL, revision=f"{ERROR_SENTENCE} {ERROR_SENTENCE}")

    assert error_location(game) is None


def test_a_place_is_right_only_where_an_error_was_found() -> None:
    found = a_game(DataType.VANILLA_HARMFUL, verdict=HARMFUL)
    place = present(error_location(found))

    assert is_located(replace(found, location=place)) is True
    assert is_located(replace(found, location=place + 1)) is False
    assert is_located(found) is None
    assert is_located(a_game(DataType.VANILLA_BENIGN, verdict=HARMFUL, location=place)) is None
    assert is_located(a_game(DataType.VANILLA_HARMFUL, verdict=None, location=place)) is None
    assert (
        is_located(a_game(DataType.ADVERSARIAL_HARMFUL, verdict=HARMFUL, revision=CORRECTED_SENTENCE, location=0))
        is True
    )


@given(games(), st.integers(0, 5))
def test_no_game_breaks_the_place(game: Game, location: int) -> None:
    place = error_location(replace(game, location=location))

    assert place is None or 0 <= place < len(note_read(game).spans)


def test_a_corrected_note_has_one_sentence_exchanged() -> None:
    game = a_game(DataType.VANILLA_HARMFUL, verdict=HARMFUL, location=1, correction=CORRECTED_SENTENCE)

    assert corrected_note(game) == game.spec.pair.corrected_note
    assert corrected_note(replace(game, correction=None)) is None


# An attacker's edits.

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
