import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.text_repair import fold_white_space
from medical_team.words import count_words, folded_words, joined, words_of

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
def test_a_word_is_what_its_script_sets_apart_else_a_character(text, words):
    assert count_words(text) == words


def test_punctuation_goes_with_the_word_beside_it():
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


def test_words_are_folded():
    assert folded_words("  Dr. O'Neil's µg—3.5 STRASSE straße_x") == [
        *("dr", "o", "neil", "s", "μg", "3", "5", "strasse", "strasse", "x"),
    ]
    assert folded_words("发热3天，头痛。") == ["发", "热", "3", "天", "头", "痛"]


def test_marks_belong_to_the_letter_before_them():
    assert folded_words("re\u0301sume\u0301 रोगी، وُجد") == ["re\u0301sume\u0301", "रोगी", "وُجد"]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40))
def test_no_character_is_lost(text):
    assert "".join(words_of(text)) == "".join(text.split())


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=40))
def test_where_a_script_has_spaces_they_alone_part_words(text):
    assert words_of(text) == text.split()
    assert joined(words_of(text)) == fold_white_space(text)


def test_words_are_joined_as_their_script_does_it():
    assert joined(words_of(CHINESE)) == CHINESE
    assert joined(["take", "5", "mg"]) == "take 5 mg"
    assert joined(["做", "CT", "检", "查"]) == "做CT检查"
