"""JSON lines and Parquet files with the fields of MEDEC's columns."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medec_csv import a_correct_row, an_error_row, read, some_rows, write_csv
from medical_team.data.build import build_data_set
from medical_team.data.tables import COLUMNS
from medical_team.errors import DataError, MissingDependencyError
from needs import PYARROW

TYPED = {"1": 1, "0": 0, "-1": -1, "NA": None}
"""What the cells of a CSV are in files with types."""


def typed(row: dict[str, str]):
    return {column: TYPED.get(value, value) for column, value in row.items()}


def write_jsonl(path: Path, values: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), encoding="utf-8")
    return path


def write_parquet(path: Path, values: list[dict[str, Any]]) -> Path:
    pyarrow, parquet = PYARROW.module("pyarrow"), PYARROW.module("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(values), path)
    return path


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_the_same_notes_are_read_as_from_a_csv(tmp_path: Path, write: Callable[..., Path]) -> None:
    rows = some_rows(4)
    path = write(tmp_path / "notes.data", [typed(row) | {"Difficulty": "Hard"} for row in rows])

    notes, log = read(path)

    expected, _ = read(write_csv(tmp_path / "notes.csv", rows))
    assert [(note.text, note.corrected_text, note.error_type) for note in notes] == [
        (note.text, note.corrected_text, note.error_type) for note in expected
    ]
    assert {note.metadata["Difficulty"] for note in notes} == {"Hard"}
    assert log.refused == 0


def test_values_of_any_kind_are_read_as_a_csv_would_hold_them(tmp_path: Path) -> None:
    row = typed(an_error_row(0)) | {
        "Error Flag": True,
        "Error Sentence ID": 1.0,
        "Sentences": ["He coughs.", "He is given 5000 mg."],
        "Text": "He coughs. He is given 5000 mg.",
        "Error Sentence": "He is given 5000 mg.",
        "Score": 0.5,
        "Tags": ["a", "b"],
        "Nothing": None,
        "No number": float("nan"),
    }

    (note,), log = read(write_jsonl(tmp_path / "notes.jsonl", [row]))

    assert (note.has_error, note.error_sentence_id, note.error_sentence) == (True, 1, "He is given 5000 mg.")
    assert note.metadata == {"Score": "0.5", "Tags": '["a", "b"]'}
    assert not [repair for repair in log.repairs if "notice" in repair.value]


def test_fields_may_differ_from_line_to_line_and_other_lines_are_refused(tmp_path: Path) -> None:
    good, other = typed(an_error_row(0)), typed(a_correct_row(1))
    lines = [good, {**other, "Extra": "x"}, {"Text": "no id"}, good | {"Text ID": "b", "Text": "nul\0"}]
    path = write_jsonl(tmp_path / "notes.jsonl", lines)
    with path.open("a", encoding="utf-8") as file:
        file.write('["a list"]\n{"cut": ')

    notes, log = read(path)

    assert [note.text_id for note in notes] == ["ms-val-0", "ms-val-3"]
    assert [str(refusal) for refusal in log.refusals] == [
        "line 3: there is no column 'Text ID'",
        "line 4 (b): the row holds NUL bytes",
        "line 5: the line is no JSON object; is it cut off?",
        "line 6: the line is no JSON object; is it cut off?",
    ]
    assert log.rows == 6


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the file is empty"),
        ('[{"Text ID": "a"}]', "line 1 is no JSON object. If the file is one array, make lines of it"),
        ('{"text": "a"}', "line 1: there is no column 'Text ID'"),
        (
            json.dumps({column: {"0": "a"} for column in COLUMNS}),
            'line 1 holds whole columns.*orient="records", lines=True',
        ),
    ],
)
def test_json_lines_of_something_else_are_refused_as_a_whole(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "notes.jsonl").write_text(content, encoding="utf-8")

    with pytest.raises(DataError) as caught:
        read(tmp_path / "notes.jsonl")

    assert re.search(problem, str(caught.value))


def test_a_number_of_thousands_of_digits_is_kept_as_text(tmp_path: Path) -> None:
    digits = "9" * 5000
    line = json.dumps(typed(an_error_row(0)))[:-1] + f', "Key": {digits}}}\n'
    (tmp_path / "notes.jsonl").write_text(line, encoding="utf-8")

    ((note,), _) = read(tmp_path / "notes.jsonl")

    assert note.metadata == {"Key": digits}


def test_a_parquet_file_makes_a_data_set(tmp_path: Path) -> None:
    rows = [typed(row) for row in [*some_rows(4), an_error_row(9, Error_Type="x" * 99)]]
    path = write_parquet(tmp_path / "train-00000-of-00001.parquet", rows)

    card = build_data_set(path, tmp_path / "data").card

    assert (card.error_cases, card.correct_notes) == (4, 4)
    assert card.refusals[0].startswith("row 9 (ms-val-18): Error Type is")


def test_a_parquet_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "notes.parquet", [typed(an_error_row(0))])
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(DataError, match="it is no whole Parquet file"):
        read(path)


def test_without_pyarrow_a_parquet_file_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.parquet").write_bytes(b"PAR1 and so on")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(MissingDependencyError, match=r"medical-team\[parquet\]"):
        read(tmp_path / "notes.parquet")
