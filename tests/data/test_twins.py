import random
from collections import Counter
from pathlib import Path

import pytest
from rapidfuzz import fuzz

from medec_csv import some_rows, write_csv
from medical_team.data.medec import read_medec
from medical_team.data.reading_log import ReadingLog
from medical_team.data.twins import TWIN_RATIO, near_duplicate_groups
from medical_team.records import Note
from medical_team.words import folded_words


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
