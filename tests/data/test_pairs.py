import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from medec_csv import some_rows, write_csv
from medical_team.data.medec import read_medec
from medical_team.data.pairs import TWIN_RATIO, PairError, make_pair, near_duplicate_groups, source_of
from medical_team.data.reading_log import ReadingLog, Repair
from medical_team.records import ErrorType, Note, NotePair, Source
from medical_team.words import folded_words

NOTE = Note(
    text_id="ms-val-0",
    text="He coughs. He is given 5000 mg. He rests.",
    has_error=True,
    error_type=ErrorType.PHARMACOTHERAPY,
    error_sentence_id=1,
    error_sentence="He is given 5000 mg.",
    corrected_sentence="He is given 500 mg.",
    corrected_text="He coughs. He is given 500 mg. He rests.",
    line=2,
)


def pair_of(*, is_strict: bool = False, **changes: Any) -> tuple[NotePair, Counter[Repair]]:
    repairs: Counter[Repair] = Counter()
    return make_pair(replace(NOTE, **changes), "g", repairs, is_strict=is_strict), repairs


def test_a_pair_is_the_note_with_and_without_its_error() -> None:
    pair, repairs = pair_of()

    assert (pair.case_id, pair.near_duplicate_group, pair.source) == ("ms-val-0", "g", Source.MEDEC)
    assert pair.error_note == NOTE.text
    assert pair.corrected_note == NOTE.corrected_text
    assert not repairs


def test_source_is_told_by_the_text_id() -> None:
    assert source_of("synthetic-12") is Source.SYNTHETIC
    assert source_of("ms-val-12") is Source.MEDEC


def test_white_space_that_differs_between_the_notes_is_made_one() -> None:
    pair, repairs = pair_of(
        text="He coughs.\nHe is\ngiven 5000 mg.  He rests.", corrected_text="He coughs. He is given 500 mg. He rests."
    )

    assert pair.error_sentence == "He is\ngiven 5000 mg."
    assert pair.corrected_note == "He coughs.\nHe is given 500 mg.  He rests."
    assert repairs == {Repair.LAYOUT: 1}


def test_a_space_inside_a_number_is_no_difference() -> None:
    pair, _ = pair_of(text="He has 37.5C. He is given 5000 mg.", corrected_text="He has 37.5 C. He is given 500 mg.")

    assert pair.corrected_note == "He has 37.5C. He is given 500 mg."


def test_of_two_places_of_the_sentence_the_corrected_one_is_meant() -> None:
    pair, _ = pair_of(
        text="He is given 5000 mg. He rests. He is given 5000 mg.",
        corrected_text="He is given 5000 mg. He rests. He is given 500 mg.",
    )

    assert pair.corrected_note == "He is given 5000 mg. He rests. He is given 500 mg."


@pytest.mark.parametrize(
    "corrected_text",
    [
        # A word of the corrected sentence, a word elsewhere, a sentence; one put elsewhere; one more word.
        "He has coughed for days. is given 500 mg. He rests now.",
        "He has coughed days. He is given 500 mg. He rests now.",
        "He has coughed for days. He is given 500 mg.",
        "He has coughed for days. He rests now. He is given 500 mg.",
        "He has coughed for days. He is given 500 mg. He rests now and then.",
    ],
)
def test_where_the_corrected_text_differs_elsewhere_the_two_sentences_decide(corrected_text: str) -> None:
    text = "He has coughed for days. He is given 5000 mg. He rests now."

    pair, repairs = pair_of(text=text, corrected_text=corrected_text)

    assert pair.corrected_note == text.replace("5000", "500")
    assert repairs == {Repair.CORRECTED_TEXT: 1}
    with pytest.raises(PairError, match="differs from Text outside the corrected sentence"):
        pair_of(is_strict=True, text=text, corrected_text=corrected_text)


@pytest.mark.parametrize(
    ("text", "error_sentence", "corrected_sentence", "corrected_text", "pair_of_sentences"),
    [
        # A full stop that one of the sentences lacks.
        (
            *("He coughs. It is gout.", "It is gout", "It is lupus.", "He coughs. It is lupus."),
            ("It is gout.", "It is lupus."),
        ),
        (
            *("He coughs. It is gout.", "It is gout.", "It is lupus", "He coughs. It is lupus."),
            ("It is gout.", "It is lupus."),
        ),
        # Another sentence end in the note: the wrong words go on there.
        (
            *("他咳嗽。诊断为痛风，予休息。", "诊断为痛风。", "诊断为狼疮。", "他咳嗽。诊断为狼疮，予休息。"),
            ("诊断为痛风", "诊断为狼疮"),
        ),
        # Other quotation marks, another space, another case.
        (
            *(
                "The patient’s pain is of 5mg. He rests.",
                "the patient's pain is of 5 mg.",
                "It is none.",
                "It is none. He rests.",
            ),
            ("The patient’s pain is of 5mg.", "It is none."),
        ),
        # Only the wrong part, and the whole sentence right.
        (
            *(
                "He coughs. The test is chi square.",
                "chi square",
                "The test is Fisher's.",
                "He coughs. The test is Fisher's.",
            ),
            ("The test is chi square.", "The test is Fisher's."),
        ),
    ],
)
def test_a_sentence_is_found_by_its_words(
    text: str, error_sentence: str, corrected_sentence: str, corrected_text: str, pair_of_sentences: tuple[str, str]
) -> None:
    pair, repairs = pair_of(
        text=text,
        error_sentence=error_sentence,
        corrected_sentence=corrected_sentence,
        corrected_text=corrected_text,
        is_strict=True,
    )

    assert (pair.error_sentence, pair.corrected_sentence) == pair_of_sentences
    assert pair.corrected_note == corrected_text
    assert repairs == {Repair.SENTENCE: 1}


def test_a_corrected_sentence_that_is_already_in_the_note_is_told() -> None:
    pair, repairs = pair_of(
        text="He is given 500 mg. He is given 5000 mg.", corrected_text="He is given 500 mg. He is given 500 mg."
    )

    assert pair.corrected_note == "He is given 500 mg. He is given 500 mg."
    assert repairs == {Repair.NOTICE_ALREADY_THERE: 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"error_sentence": "He is given 50 mg."}, "Error Sentence does not occur in Text"),
        ({"corrected_sentence": "He is given  5000 mg."}, "Error Sentence and Corrected Sentence are the same"),
        ({"corrected_text": NOTE.text + " "}, "Text and Corrected Text are the same"),
        ({"corrected_text": "Another note."}, "Corrected Text is not Text with its Error Sentence corrected"),
        ({"has_error": False}, "the note has no error"),
    ],
)
def test_a_note_whose_parts_contradict_each_other_makes_no_pair(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(PairError, match=reason):
        pair_of(**changes)


words = st.lists(st.sampled_from(["a", "b", "ill", "5 mg", "(x)", "."]), min_size=1, max_size=5).map(" ".join)
blanks = st.text(alphabet=" \n", min_size=1, max_size=3)


@given(before=words, after=words, error=words, right=words, blank=blanks, other_blank=blanks)
def test_what_makes_a_pair_is_consistent_whatever_the_white_space(
    before: str, after: str, error: str, right: str, blank: str, other_blank: str
) -> None:
    note = f"{before}{blank}{error.replace(' ', other_blank)} {after}"
    corrected = f"{before} {right}{other_blank}{after}"
    try:
        pair, _ = pair_of(text=note, error_sentence=error, corrected_sentence=right, corrected_text=corrected)
    except PairError:
        assert error.split() == right.split() or note.split() == corrected.split()
        return

    assert pair.error_sentence in pair.error_note
    assert pair.corrected_sentence in pair.corrected_note
    assert pair.error_note.split() != pair.corrected_note.split()
    assert "".join(pair.corrected_note.split()) == "".join(corrected.split())


def test_each_error_case_of_the_validation_file_makes_a_pair(medec_validation_csv: Path) -> None:
    repairs: Counter[Repair] = Counter()
    pairs = [make_pair(note, "", repairs) for note in read_medec(medec_validation_csv, ReadingLog()) if note.has_error]

    assert len(pairs) == 319
    assert repairs == {Repair.LAYOUT: 4}
    for pair in pairs:
        assert pair.error_note.count(pair.error_sentence) == 1
        assert pair.error_note.replace(pair.error_sentence, pair.corrected_sentence) == pair.corrected_note


def a_note(text_id: str, text: str):
    return Note(text_id, text, False, None, -1, None, None, None, 2)


def a_text(generator: random.Random, words: int = 60) -> str:
    return " ".join("".join(generator.choices("abcdefghij", k=6)) for _ in range(words))


def changed(text: str, generator: random.Random, places: int) -> str:
    words = text.split()
    for place in generator.sample(range(len(words)), places):
        words[place] = "changed"
    return " ".join(words)


def test_neighbours_that_are_alike_are_twins_and_others_are_not() -> None:
    generator = random.Random(0)
    first, second = a_text(generator), a_text(generator)

    notes = [a_note("a", first), a_note("b", changed(first, generator, 5)), a_note("c", second)]

    assert near_duplicate_groups(notes) == [0, 0, 2]


def test_twins_are_found_anywhere_in_the_file() -> None:
    generator = random.Random(1)
    texts = [a_text(generator) for _ in range(40)]
    texts[35] = changed(texts[3], generator, 4)

    groups = near_duplicate_groups([a_note(str(number), text) for number, text in enumerate(texts)])

    assert groups[35] == groups[3]
    assert len(set(groups)) == 39


def test_twins_are_found_in_a_script_without_spaces_and_others_are_not_taken_for_them() -> None:
    generator = random.Random(3)
    characters = [chr(code) for code in range(0x4E00, 0x4F00)]
    first, second = ("".join(generator.choices(characters, k=80)) for _ in range(2))
    texts = [f"患者，{first}。", f"患者，{second}。", f"患者，{first[:70]}胸痛。"]

    assert near_duplicate_groups([a_note(str(number), text) for number, text in enumerate(texts)]) == [0, 1, 0]


def test_a_note_that_is_like_two_groups_joins_them() -> None:
    generator = random.Random(2)
    first, second = a_text(generator, 80), a_text(generator, 80)
    bridge = " ".join([*first.split()[:66], *second.split()[66:]])
    other_end = " ".join([*first.split()[:52], *second.split()[52:]])

    groups = near_duplicate_groups(
        [a_note("a", first), a_note("x", a_text(generator)), a_note("b", other_end), a_note("c", bridge)]
    )

    assert groups == [0, 1, 0, 0]


def test_case_and_punctuation_hide_no_twin() -> None:
    assert near_duplicate_groups(
        [a_note("a", "He is ill, and rests."), a_note("b", "Other."), a_note("c", "HE is ill and rests")]
    ) == [
        0,
        1,
        0,
    ]


def test_synthetic_notes_are_twins_only_when_identical() -> None:
    generator = random.Random(3)
    text = a_text(generator)

    notes = [
        a_note("synthetic-0", text),
        a_note("synthetic-1", changed(text, generator, 1)),
        a_note("synthetic-2", text),
    ]

    assert near_duplicate_groups(notes) == [0, 1, 0]


def test_each_correct_row_is_in_the_group_of_its_error_row(tmp_path: Path) -> None:
    notes = list(read_medec(write_csv(tmp_path / "medec.csv", some_rows(12)), ReadingLog()))

    groups = near_duplicate_groups(notes)

    assert groups == [number - number % 2 for number in range(24)]


def test_in_the_validation_file_each_correct_row_is_the_twin_of_the_row_before(medec_validation_csv: Path) -> None:
    notes = list(read_medec(medec_validation_csv, ReadingLog()))

    groups = near_duplicate_groups(notes)

    assert all(groups[place] == groups[place - 1] for place, note in enumerate(notes) if not note.has_error)
    assert Counter(Counter(groups).values()) == {1: 64, 2: 255}


@pytest.mark.slow
def test_in_the_validation_file_no_twins_are_in_different_groups(medec_validation_csv: Path) -> None:
    notes = list(read_medec(medec_validation_csv, ReadingLog()))
    texts = [" ".join(folded_words(note.text)) for note in notes]

    groups = near_duplicate_groups(notes)

    for one in range(len(texts)):
        for other in range(one):
            if groups[one] != groups[other]:
                assert fuzz.ratio(texts[one], texts[other], score_cutoff=TWIN_RATIO) < TWIN_RATIO
