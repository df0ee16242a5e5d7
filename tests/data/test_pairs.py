from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.data.medec import read_medec
from medical_team.data.pairs import PairError, make_pair, source_of
from medical_team.data.reading_log import ReadingLog, Repair
from medical_team.records import ErrorType, Note, NotePair, Source

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
