"""The submission format, as the organisers' script reads it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medical_team.errors import DataError
from medical_team.evaluation.submission import Answer, parse_submission, read_submission, safe_answer, write_submission


def answer_in(line: str):
    return next(iter(parse_submission(line).answers.values()))


def test_a_line_is_an_id_a_flag_a_sentence_and_a_correction() -> None:
    assert answer_in("ms-val-7 1 5 Give  500 mg\tdaily.") == Answer("ms-val-7", "1", "5", "Give 500 mg daily.")


def test_flag_0_means_na_whatever_else_is_said() -> None:
    assert answer_in("ms-val-7 0 -1 Give 500 mg.").correction == "NA"


def test_quotes_at_the_ends_are_taken_off_but_never_the_last_mark() -> None:
    assert answer_in('a 1 2 ""Give 500 mg.""').correction == "Give 500 mg."
    assert answer_in('a 1 2 """').correction == '"'


@pytest.mark.parametrize("line", ["nothing", "a 1 2", "a 1.0 2 text", "a  1 2 text", "a x 2 text", "a 1 two text"])
def test_a_line_that_the_organisers_script_passes_over_is_passed_over_and_named(line: str) -> None:
    submission = parse_submission(f"b 0 -1 NA\n{line}")

    assert set(submission.answers) == {"b"}
    assert submission.remarks == ("passed over, no answer by the organisers' rule: line 2",)


def test_of_an_id_that_comes_twice_the_later_line_counts() -> None:
    submission = parse_submission("a 0 -1 NA\na 1 3 Give 500 mg.")

    assert submission.answers["a"].sentence_id == "3"
    assert submission.remarks == ("an id came again, and the later line counts: line 2",)


def test_a_backslash_is_a_backslash() -> None:
    submission = parse_submission(r"a 1 3 Take \d and \1 and \g<9>.")

    assert submission.answers["a"].correction == r"Take \d and \1 and \g<9>."
    assert "mended: a backslash" in submission.remarks[0]


def test_a_byte_order_mark_does_not_lose_the_first_line() -> None:
    submission = parse_submission("\ufeffa 0 -1 NA\r\nb 0 -1 NA\rc 0 -1 NA")

    assert list(submission.answers) == ["a", "b", "c"]
    assert "byte-order mark" in submission.remarks[0]


def test_an_id_in_capitals_is_read_and_named() -> None:
    submission = parse_submission("MS_1 0 -1 NA")

    assert list(submission.answers) == ["MS_1"]
    assert "mended: an id" in submission.remarks[0]


def test_characters_beyond_ascii_are_read_in_any_locale(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_bytes("a 1 3 Give 5 µg of Ca²⁺.\n".encode())

    assert read_submission(path).answers["a"].correction == "Give 5 µg of Ca²⁺."


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_bytes(b"a 1 3 Give 5 \xb5g.\n")

    with pytest.raises(DataError, match="byte 13 is not UTF-8"):
        read_submission(path)


def test_a_file_without_any_answer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.txt"
    path.write_text("text_id,flag\na,1\n")

    with pytest.raises(DataError, match="is no submission"):
        read_submission(path)


def test_a_correction_too_long_for_rouge_is_refused_before_it_takes_hours() -> None:
    with pytest.raises(DataError, match="line 1: a correction of 5001 words"):
        parse_submission("a 1 3 " + "word " * 5001)


@given(st.text(min_size=1))
def test_what_is_written_is_read_back_but_for_white_space_and_outer_quotes(
    tmp_path_factory: pytest.TempPathFactory, correction: str
) -> None:
    path = tmp_path_factory.mktemp("submission") / "run.txt"
    # A lone surrogate has no UTF-8.
    correction = correction.encode(errors="replace").decode()

    write_submission(path, [Answer("a", "1", "3", correction), safe_answer("b")])

    folded = " ".join(correction.split())
    answers = read_submission(path).answers
    assert answers["b"] == safe_answer("b")
    assert answers["a"].correction.strip('"') == (folded or "NA").strip('"')
