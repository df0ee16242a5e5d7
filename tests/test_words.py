import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.words import (
    count_words,
    fold_white_space,
    folded_words,
    joined,
    numbered_sentences,
    sentence_spans,
    split_sentences,
    words_of,
)

CHINESE = "患者，男，18岁。发热3天，体温38.5℃；“头痛”（轻度）。"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("He takes 5 mg - daily.", 6),
        ("Él toma 5\u00a0mg.", 4),
        ("مريضة عمرها ٤٤ سنة، تشكو من تعب.", 7),
        ("환자는 열이 있다.", 3),
        ("रोगी को बुखार है।", 4),
        ("患者发热3天", 6),
        ("B超：正常", 4),
        ("ผู้ป่วยมีไข้", 7),
        ("患者は発熱を訴えた。", 9),
        ("", 0),
    ],
)
def test_a_word_is_what_its_script_sets_apart_else_a_character(text: str, words: int) -> None:
    assert count_words(text) == words


def test_punctuation_goes_with_the_word_beside_it() -> None:
    assert words_of(CHINESE) == [
        *(
            "患",
            "者，",
            "男，",
            "18",
            "岁。",
            "发",
            "热",
            "3",
            "天，",
            "体",
            "温",
            "38.5℃；",
            "“头",
            "痛”",
            "（轻",
            "度）。",
        ),
    ]


def test_words_are_folded() -> None:
    assert folded_words("  Dr. O'Neil's µg—3.5 STRASSE straße_x") == [
        *("dr", "o", "neil", "s", "μg", "3", "5", "strasse", "strasse", "x"),
    ]
    assert folded_words("发热3天，头痛。") == ["发", "热", "3", "天", "头", "痛"]


def test_marks_belong_to_the_letter_before_them() -> None:
    assert folded_words("re\u0301sume\u0301 रोगी، وُجد") == ["re\u0301sume\u0301", "रोगी", "وُجد"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40))
def test_no_character_is_lost(text: str) -> None:
    assert "".join(words_of(text)) == "".join(text.split())


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=40))
def test_where_a_script_has_spaces_they_alone_part_words(text: str) -> None:
    assert words_of(text) == text.split()
    assert joined(words_of(text)) == fold_white_space(text)


def test_words_are_joined_as_their_script_does_it() -> None:
    assert joined(words_of(CHINESE)) == CHINESE
    assert joined(["take", "5", "mg"]) == "take 5 mg"
    assert joined(["做", "CT", "检", "查"]) == "做CT检查"


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("He coughs. He rests! Why? No idea.", ["He coughs.", "He rests!", "Why?", "No idea."]),
        ("He has 37.5 C, i.e. fever, for 3 days.", ["He has 37.5 C, i.e. fever, for 3 days."]),
        ("Seen by Dr. Gray vs. Dr. A. Brown.", ["Seen by Dr. Gray vs. Dr. A. Brown."]),
        ("Given 5 mg. He slept.", ["Given 5 mg.", "He slept."]),
        ("He coughs.He rests.", ["He coughs.", "He rests."]),
        ('He says "I cough." He rests.', ['He says "I cough."', "He rests."]),
        ("Labs:\nNa 137\n1. Aspirin daily\n", ["Labs:", "Na 137", "1. Aspirin daily"]),
        ("患者发热。体温38.5℃！“头痛。”予治疗", ["患者发热。", "体温38.5℃！", "“头痛。”", "予治疗"]),
        ("هل يسعل المريض؟ نعم. يرتاح الآن", ["هل يسعل المريض؟", "نعم.", "يرتاح الآن"]),
        ("रोगी खाँसता है। वह ठीक है।", ["रोगी खाँसता है।", "वह ठीक है।"]),
        ("", []),
    ],
)
def test_a_text_is_split_where_sentences_end(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@given(st.text())
def test_sentences_are_all_of_the_text_but_white_space(text: str) -> None:
    spans = sentence_spans(text)

    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)


def test_sentences_on_lines_of_their_own() -> None:
    column = "0 Labs show:\nNa+ 137 mEq/L\n40 mg were given.\n1 Glucose negative 2 Protein absent.\n3 He is well."

    assert numbered_sentences(column) == {
        0: "Labs show:\nNa+ 137 mEq/L\n40 mg were given.",
        1: "Glucose negative 2 Protein absent.",
        3: "He is well.",
    }


def test_sentences_all_on_one_line_where_the_text_tells_their_numbers_from_its_own() -> None:
    text = "He takes 1 tablet. It is 2 pm: 3 days, to go, 3 more. He rests."
    column = "0 He takes 1 tablet. 1 It is 2 pm: 2 3 days, 3 to go, 3 more. 4 He rests."

    assert numbered_sentences(column, text) == {
        0: "He takes 1 tablet.",
        1: "It is 2 pm:",
        2: "3 days,",
        3: "to go, 3 more.",
        4: "He rests.",
    }


def test_where_text_and_numbered_sentences_differ_a_sentence_ends_with_a_mark() -> None:
    column = "0 The patients pain is of 1 day. 1 He takes 2 tablets. 2 He rests."

    assert numbered_sentences(column, "The patient's pain is of 1 day. He takes 2 tablets. He rests.") == {
        0: "The patients pain is of 1 day.",
        1: "He takes 2 tablets.",
        2: "He rests.",
    }


@pytest.mark.parametrize("column", ["", "no number", "1 starts late", "0", "\n\n"])
def test_a_column_without_numbers_has_at_most_one_sentence(column: str) -> None:
    assert len(numbered_sentences(column, "He rests.")) <= 1
