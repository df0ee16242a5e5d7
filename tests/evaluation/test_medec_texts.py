from pathlib import Path

import pytest

from medec_csv import a_correct_row, an_error_row, some_rows, write_csv
from medical_team.errors import DataError, UsageError
from medical_team.evaluation.medec_texts import choose_examples, choose_texts, load_medec
from medical_team.evaluation.official import official_scores
from medical_team.evaluation.submission import Answer, safe_answer


def texts_of(tmp_path: Path, *rows: dict[str, str]):
    return load_medec(write_csv(tmp_path / "medec.csv", rows)).texts


def test_a_model_reads_the_repaired_text_and_is_scored_against_the_raw_one(tmp_path: Path) -> None:
    row = an_error_row(
        Text="He is given 5 Âµg. \n", Sentences="0 He is given 5 Âµg.", Error_Sentence_ID="0",
        Error_Sentence="He is given 5 Âµg.", Corrected_Sentence="He is given 1 Âµg.",
        Corrected_Text="He is given 1 Âµg.",
    )  # fmt: skip

    (text,) = texts_of(tmp_path, row)

    assert text.text == "He is given 5 µg."
    assert text.sentences == {0: "He is given 5 µg."}
    assert text.reference.correction == "He is given 1 Âµg."


def test_sentences_have_their_numbers_also_where_all_stand_on_one_line(tmp_path: Path) -> None:
    row = a_correct_row(
        Text="He takes 1 mg. 2 days later he rests.", Sentences="0 He takes 1 mg. 1 2 days later he rests."
    )

    (text,) = texts_of(tmp_path, row)

    assert text.sentences == {0: "He takes 1 mg.", 1: "2 days later he rests."}


def test_where_the_official_metrics_find_no_words_it_is_told(tmp_path: Path) -> None:
    medec = load_medec(write_csv(tmp_path / "medec.csv", [a_correct_row(0), a_correct_row(1, Text="患者发热。")]))

    assert medec.texts[1].words == 4
    assert "of 1 texts in scripts without any it says nothing" in medec.remarks[0]


def test_near_duplicates_share_a_group(tmp_path: Path) -> None:
    texts = texts_of(tmp_path, *some_rows(3))

    assert [text.near_duplicate_group for text in texts] == ["ms-val-0"] * 2 + ["ms-val-2"] * 2 + ["ms-val-4"] * 2


def test_a_perfect_submission_is_perfect_although_blank_rows_and_float_flags_break_the_organisers_script(
    tmp_path: Path,
) -> None:
    blank = dict.fromkeys(an_error_row(), "")
    error, correct = an_error_row(Error_Flag="1.0", Error_Sentence_ID="1.0"), a_correct_row(Error_Flag="0.0")

    medec = load_medec(write_csv(tmp_path / "medec.csv", [error, correct, blank, blank]))
    answers = {
        "ms-val-0": Answer("ms-val-0", "1", "1", error["Corrected Sentence"]),
        "ms-val-1": safe_answer("ms-val-1"),
    }
    scores = official_scores([text.reference for text in medec.texts], answers, with_learned=False)

    assert (scores.texts, scores.flag_accuracy, scores.sentence_accuracy) == (2, 1.0, 1.0)
    assert "2 blank rows" in medec.remarks[0]
    assert '"1.0"' in medec.remarks[1]


def test_a_row_that_cannot_be_used_is_named_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2 .*Error Flag is 7"):
        texts_of(tmp_path, an_error_row(Error_Flag="7"), a_correct_row())


def test_an_id_with_white_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="white space"):
        texts_of(tmp_path, an_error_row(Text_ID="ms val 0"))


def test_a_slice_holds_whole_near_duplicate_groups_in_the_order_of_the_file(tmp_path: Path) -> None:
    texts = texts_of(tmp_path, *some_rows(8))

    chosen = choose_texts(texts, 6, seed=1)

    assert len(chosen) == 6
    assert [text for text in texts if text in chosen] == chosen
    assert {text.near_duplicate_group for text in chosen}.isdisjoint(
        {text.near_duplicate_group for text in texts if text not in chosen}
    )
    assert choose_texts(texts, 6, seed=1) == chosen != choose_texts(texts, 6, seed=2)


def test_a_slice_of_everything_or_more_is_everything(tmp_path: Path) -> None:
    texts = texts_of(tmp_path, *some_rows(2))

    assert choose_texts(texts, None, 0) == choose_texts(texts, 99, 0) == list(texts)


def test_a_slice_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--texts is 0"):
        choose_texts(texts_of(tmp_path, *some_rows(2)), 0, 0)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "medec.csv", some_rows(6))


def test_examples_are_with_and_without_an_error_in_turn_and_of_different_groups(csv: Path) -> None:
    examples = choose_examples(csv, [], 4, seed=1)

    assert [text.has_error for text in examples.texts] == [True, False, True, False]
    assert len({text.near_duplicate_group for text in examples.texts}) == 4
    assert examples == choose_examples(csv, [], 4, seed=1) != choose_examples(csv, [], 4, seed=2)


@pytest.mark.parametrize("seed", range(5))
def test_no_example_is_evaluated_or_the_twin_of_a_text_that_is(csv: Path, tmp_path: Path, seed: int) -> None:
    # Of each case the error row alone, in a file of its own: its correct twin gives it away all the same.
    evaluated = load_medec(write_csv(tmp_path / "evaluated.csv", some_rows(6)[:8:2])).texts

    examples = choose_examples(csv, evaluated, 2, seed)

    assert {text.near_duplicate_group for text in examples.texts} == {"ms-val-8", "ms-val-10"}


def test_too_few_examples_are_an_error(csv: Path) -> None:
    with pytest.raises(UsageError, match="has only 0 such examples"):
        choose_examples(csv, load_medec(csv).texts, 2, seed=1)
    with pytest.raises(UsageError, match=r"--shots is 8, but .* only 6"):
        choose_examples(csv, [], 8, seed=1)


def test_what_is_written_down_of_them_holds_no_word_of_them(csv: Path) -> None:
    examples = choose_examples(csv, [], 2, seed=1)

    assert examples.origin.startswith("medec.csv (sha256 ")
    assert all(text.text_id in examples.origin and text.text[:20] not in examples.origin for text in examples.texts)
