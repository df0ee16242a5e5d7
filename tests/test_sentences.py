import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.sentences import numbered_sentences, sentence_spans, split_sentences


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
def test_a_text_is_split_where_sentences_end(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text())
def test_sentences_are_all_of_the_text_but_white_space(text):
    spans = sentence_spans(text)

    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)


def test_sentences_on_lines_of_their_own():
    column = "0 Labs show:\nNa+ 137 mEq/L\n40 mg were given.\n1 Glucose negative 2 Protein absent.\n3 He is well."

    assert numbered_sentences(column) == {
        0: "Labs show:\nNa+ 137 mEq/L\n40 mg were given.",
        1: "Glucose negative 2 Protein absent.",
        3: "He is well.",
    }


def test_sentences_all_on_one_line_where_the_text_tells_their_numbers_from_its_own():
    text = "He takes 1 tablet. It is 2 pm: 3 days, to go, 3 more. He rests."
    column = "0 He takes 1 tablet. 1 It is 2 pm: 2 3 days, 3 to go, 3 more. 4 He rests."

    assert numbered_sentences(column, text) == {
        0: "He takes 1 tablet.",
        1: "It is 2 pm:",
        2: "3 days,",
        3: "to go, 3 more.",
        4: "He rests.",
    }


def test_where_text_and_numbered_sentences_differ_a_sentence_ends_with_a_mark():
    column = "0 The patients pain is of 1 day. 1 He takes 2 tablets. 2 He rests."

    assert numbered_sentences(column, "The patient's pain is of 1 day. He takes 2 tablets. He rests.") == {
        0: "The patients pain is of 1 day.",
        1: "He takes 2 tablets.",
        2: "He rests.",
    }


@pytest.mark.parametrize("column", ["", "no number", "1 starts late", "0", "\n\n"])
def test_a_column_without_numbers_has_at_most_one_sentence(column):
    assert len(numbered_sentences(column, "He rests.")) <= 1
