"""Text as a terminal shows it."""

from pathlib import Path

import pytest

from medical_team.terminal_text import folded, shell_word


@pytest.mark.parametrize(
    ("path", "word"), [("runs/a", "runs/a"), ("my runs/a", "'my runs/a'"), ("~a", "'~a'"), ("it's", "'it'\"'\"'s'")]
)
def test_a_path_in_a_command_can_be_copied(path: str, word: str) -> None:
    assert shell_word(Path(path)) == word


def test_a_line_that_is_too_wide_is_broken_between_words_and_indented_further() -> None:
    text = "  - a list item that goes on and on\nshort\n"

    assert folded(text, 20) == "  - a list item that\n    goes on and on\nshort\n"


def test_a_command_stays_whole_so_that_it_can_be_copied() -> None:
    command = "Next: medical-team train --data.train data/train.jsonl\n"

    assert folded(command, 20) == command


def test_what_fits_and_what_has_no_place_to_break_stay_as_they_are() -> None:
    text = "a  table   with columns\n\n/a/path/without/any/white/space/in/it"

    assert folded(text, 23) == text
