"""Files of notes as other programs save them again: whatever was done to it, a file gives the cases that it held."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from medical_team.data.build import build_data_set
from needs import PYARROW

Row = dict[str, str]

CASES = {"EN": 54, "CN": 50, "ARA": 29}
"""Error cases of MedErrBench's validation files."""


def written(
    rows: list[Row],
    path: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    line_end: str = "\r\n",
    before: str = "",
) -> Path:
    text = io.StringIO()
    # A file whose lines end in a carriage return alone must quote line feeds, which the writer doesn't know.
    quoting = csv.QUOTE_ALL if line_end == "\r" else csv.QUOTE_MINIMAL
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes((before + text.getvalue()).encode(encoding))
    return path


def semicolons_of_a_european_excel(rows: list[Row], path: Path) -> Path:
    numbers = [
        row | {"Error Flag": f"{row['Error Flag']},0", "Error Sentence ID": f"{row['Error Sentence ID']},0"}
        for row in rows
    ]
    return written(numbers, path, delimiter=";", encoding="utf-8-sig", before="sep=;\r\n")


def unicode_text_of_excel(rows: list[Row], path: Path) -> Path:
    flags = {"1": "TRUE", "0": "FALSE"}
    return written(
        [row | {"Error Flag": flags[row["Error Flag"]]} for row in rows], path, delimiter="\t", encoding="utf-16"
    )


def lines_of_an_old_macintosh(rows: list[Row], path: Path) -> Path:
    return written(
        [{name: value.replace("\r\n", "\n") for name, value in row.items()} for row in rows], path, line_end="\r"
    )


def index_and_floats_of_pandas(rows: list[Row], path: Path) -> Path:
    def resaved(number: int, row: Row) -> Row:
        empty = {name: "" for name, value in row.items() if value == "NA"}
        numbers = {name: str(float(row[name])) for name in ("Error Flag", "Error Sentence ID")}
        return {"Unnamed: 0.1": str(number), "Unnamed: 0": str(number)} | row | empty | numbers

    return written([resaved(number, row) for number, row in enumerate(rows)], path, line_end="\n")


def misread_as(encoding: str) -> Callable[[list[Row], Path], Path]:
    def remake(rows: list[Row], path: Path) -> Path:
        text = written(rows, path).read_bytes().decode(encoding)
        path.write_bytes(text.encode())
        return path

    return remake


def other_names(rows: list[Row], path: Path) -> Path:
    return written([{f" {name.upper().replace(' ', '_')}": value for name, value in row.items()} for row in rows], path)


def more_columns(rows: list[Row], path: Path) -> Path:
    extra = {"Reviewer": 'He said "fine";\nyes, fine', "Text ID 2": "x"}
    return written([extra | row for row in rows], path)


def other_error_types(rows: list[Row], path: Path) -> Path:
    names = ["Medication Error", "labs/imaging", "Überweisung", "诊断错误"]
    types = [names[number % len(names)] for number in range(len(rows))]
    return written(
        [
            row | {"Error Type": "NA" if row["Error Type"] == "NA" else name}
            for row, name in zip(rows, types, strict=True)
        ],
        path,
    )


def corrected_text_with_more_words(rows: list[Row], path: Path) -> Path:
    return written(
        [
            row | {"Corrected Text": row["Corrected Text"] + " Seen by A." * (row["Corrected Text"] != "NA")}
            for row in rows
        ],
        path,
    )


def without_numbered_sentences(rows: list[Row], path: Path) -> Path:
    return written([{name: value for name, value in row.items() if name != "Sentences"} for row in rows], path)


def as_objects(rows: list[Row]) -> list[dict[str, object]]:
    """As Hugging Face's datasets hold them: numbers, nothing for NA, names with underscores."""
    numbers = ("Error Flag", "Error Sentence ID")
    return [
        {
            name.lower().replace(" ", "_"): int(float(value)) if name in numbers else None if value == "NA" else value
            for name, value in row.items()
        }
        for row in rows
    ]


def json_lines(rows: list[Row], path: Path) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("".join(f"{json.dumps(values)}\n" for values in as_objects(rows)))
    return path


def parquet(rows: list[Row], path: Path) -> Path:
    pyarrow, files = PYARROW.module("pyarrow"), PYARROW.module("pyarrow.parquet")
    values = [row | {"__index_level_0__": number} for number, row in enumerate(as_objects(rows))]
    path = path.with_suffix(".parquet")
    files.write_table(pyarrow.Table.from_pylist(values), path)
    return path


REMAKES = [
    semicolons_of_a_european_excel,
    unicode_text_of_excel,
    lines_of_an_old_macintosh,
    index_and_floats_of_pandas,
    pytest.param(misread_as("mac_roman"), id="misread_as_mac_roman"),
    pytest.param(misread_as("latin-1"), id="misread_as_latin_1"),
    other_names,
    more_columns,
    other_error_types,
    corrected_text_with_more_words,
    without_numbered_sentences,
    json_lines,
    parquet,
]


def rows_of(folder: Path, name: str) -> list[Row]:
    with (folder / f"reviewed_data_{name}_validation.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("remake", REMAKES)
def test_a_file_that_was_saved_again_loses_no_case(
    mederrbench_folder: Path, tmp_path: Path, name: str, remake: Callable[[list[Row], Path], Path]
) -> None:
    path = remake(rows_of(mederrbench_folder, name), tmp_path / "notes.csv")

    card = build_data_set(path, tmp_path / "data").card

    assert (card.cases_used, card.refused) == (CASES[name], 0)


def test_files_of_several_languages_make_one_data_set(mederrbench_folder: Path, tmp_path: Path) -> None:
    paths = [mederrbench_folder / f"reviewed_data_{name}_validation.csv" for name in CASES]

    card = build_data_set(paths, tmp_path / "data").card

    assert (card.cases_used, card.refused) == (sum(CASES.values()), 0)
