"""What a harness hands on as options, which come from a command line or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medec_csv import some_rows, write_csv
from medical_team.adapters.medec_questions import medec_task, medec_texts, to_row, vote_of_row, vote_on
from medical_team.errors import UsageError


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"thinking": "false"}, "thinking is 'false', expected true or false"),
        ({"thinking": 1}, "thinking is 1"),
        ({"max_tokens": "512"}, "max_tokens is '512', expected a whole number"),
        ({"max_tokens": 0}, "max_tokens is 0, expected at least 1"),
        ({"max_tokens": True}, "max_tokens is True"),
        ({"prompt_style": "long"}, "prompt_style is 'long'"),
    ],
)
def test_an_option_of_another_kind_is_refused_and_not_guessed(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        medec_task("assessor", **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"texts": "10"}, "texts is '10'"),
        ({"texts": 1.5}, "texts is 1.5"),
        ({"seed": "42"}, "seed is '42'"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_number_of_texts_and_a_seed_are_whole_numbers(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    path = write_csv(tmp_path / "medec.csv", some_rows(4))
    with pytest.raises(UsageError, match=told):
        medec_texts(path, **options)


@pytest.mark.parametrize("path", [5, True, ["MEDEC.csv"], {"csv": "MEDEC.csv"}])
def test_what_is_no_path_is_told(path: object) -> None:
    with pytest.raises(UsageError, match="expected the path of the MEDEC CSV"):
        medec_texts(path)


@pytest.mark.parametrize("path", ["", "  ", None])
def test_a_path_that_is_blank_is_missing(path: str | None) -> None:
    with pytest.raises(UsageError, match="medec is missing: name the MEDEC CSV"):
        medec_texts(path)


def test_a_home_is_found_where_no_shell_has_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_csv(tmp_path / "medec.csv", some_rows(1))

    assert len(medec_texts("~/medec.csv")) == 2


def test_half_a_character_in_a_reply_goes_through_a_harness_as_a_mark(tmp_path: Path) -> None:
    (text, _) = medec_texts(write_csv(tmp_path / "medec.csv", some_rows(1)))

    vote = vote_on(medec_task("three-part"), text, "1 Patient 0 is given \ud800 500 mg.")

    assert vote_of_row(to_row(vote)) == vote
    assert "\ufffd 500 mg" in vote.reply
