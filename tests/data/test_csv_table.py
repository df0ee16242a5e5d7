"""CSV files as Excel, pandas and other programs save them."""

import csv
import io
from pathlib import Path

import pytest

from medec_csv import a_correct_row, an_error_row, csv_text, read, some_rows
from medical_team.data.tables import COLUMNS
from medical_team.errors import DataError
from medical_team.records import Note

ROWS = some_rows(3)
ROWS[0] = an_error_row(0, Text="He says: a; b, c.\nHe is given 5000 mg.", Error_Sentence="He is given 5000 mg.")


def parted_by(delimiter: str, rows: list[dict[str, str]] = ROWS) -> str:
    file = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(file, COLUMNS, delimiter=delimiter, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


@pytest.fixture
def expected(tmp_path: Path) -> list[Note]:
    (tmp_path / "plain.csv").write_text(csv_text(ROWS), encoding="utf-8", newline="")
    return read(tmp_path / "plain.csv")[0]


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_what_parts_the_columns_is_seen_and_told(
    tmp_path: Path, expected: list[Note], delimiter: str, name: str
) -> None:
    path = tmp_path / "medec.csv"
    path.write_text(parted_by(delimiter), encoding="utf-8", newline="")

    notes, log = read(path)

    assert notes == expected
    assert log.remarks == [f"columns are parted by {name}"]
    assert log.refused == 0


@pytest.mark.parametrize("delimiter", [",", ";", "^"])
def test_the_first_line_may_say_what_parts_the_columns(tmp_path: Path, expected: list[Note], delimiter: str) -> None:
    path = tmp_path / "medec.csv"
    path.write_text(f"sep={delimiter}\r\n{parted_by(delimiter)}", encoding="utf-8-sig", newline="")

    notes, log = read(path)

    # Lines are counted from the first of the file, so that a person finds them.
    assert [note.line for note in notes] == [note.line + 1 for note in expected]
    assert [note.text for note in notes] == [note.text for note in expected]
    assert log.refused == 0


@pytest.mark.parametrize(
    "above", ["Export of 2026-01-02;;;", "# made by R, with Text", "", '"a title over\r\ntwo lines, ""quoted"""']
)
@pytest.mark.parametrize("named", ["", "sep=;\r\n"])
def test_lines_above_the_header_are_left_out_and_told(
    tmp_path: Path, expected: list[Note], above: str, named: str
) -> None:
    path = tmp_path / "medec.csv"
    path.write_text(f"{named}{above}\r\n{parted_by(';')}", encoding="utf-8-sig", newline="")

    notes, log = read(path)

    lines = above.count("\n") + 1 + bool(named)
    assert [(note.line, note.text) for note in notes] == [(note.line + lines, note.text) for note in expected]
    assert log.remarks == [f"lines above the header, left out: {lines}", "columns are parted by semicolons"]


def test_a_name_of_a_column_may_span_lines(tmp_path: Path, expected: list[Note]) -> None:
    path = tmp_path / "medec.csv"
    path.write_text(csv_text(ROWS).replace("Text ID", '"Text\n ID"', 1), encoding="utf-8", newline="")

    assert [note.text for note in read(path)[0]] == [note.text for note in expected]


def test_utf_32_is_read(tmp_path: Path, expected: list[Note]) -> None:
    path = tmp_path / "medec.csv"
    path.write_bytes(csv_text(ROWS).encode("utf-32"))

    notes, log = read(path)

    assert notes == expected
    assert log.remarks == ["the file is UTF-32"]


def test_excel_s_unicode_text_is_read(tmp_path: Path, expected: list[Note]) -> None:
    path = tmp_path / "medec.txt"
    path.write_bytes(parted_by("\t").encode("utf-16"))

    notes, log = read(path)

    assert notes == expected
    assert log.remarks == ["the file is UTF-16", "columns are parted by tabs"]


def test_pandas_index_is_no_metadata(tmp_path: Path) -> None:
    for name in ("", "Unnamed: 0"):
        row = {name: "7", **an_error_row(0), "Difficulty": " very\nhard "}
        (tmp_path / "medec.csv").write_text(csv_text([row], list(row)), encoding="utf-8", newline="")

        (note,), log = read(tmp_path / "medec.csv")

        assert note.metadata == {"Difficulty": "very hard"}
        assert (log.refused, dict(log.repairs), log.remarks) == (0, {}, [])


def test_names_of_columns_are_told_apart_by_their_letters(tmp_path: Path) -> None:
    row = {column.lower().replace(" ", "_"): value for column, value in an_error_row(0).items()}
    (tmp_path / "medec.csv").write_text(csv_text([row], list(row)), encoding="utf-8", newline="")

    (note,), _ = read(tmp_path / "medec.csv")

    assert note.text_id == "ms-val-0"


def test_metadata_are_repaired_with_their_row(tmp_path: Path) -> None:
    row = a_correct_row(0, Text="He has 37 ¬∞C.") | {"Words": "37 ¬∞C"}
    (tmp_path / "medec.csv").write_text(csv_text([row], list(row)), encoding="utf-8", newline="")

    (note,), _ = read(tmp_path / "medec.csv")

    assert note.metadata == {"Words": "37 °C"}


def test_a_file_in_the_bytes_of_windows_says_how_to_save_it(tmp_path: Path) -> None:
    path = tmp_path / "medec.csv"
    path.write_bytes(parted_by(";", [an_error_row(0, Text="Fièvre")]).encode("cp1252"))

    notes, log = read(path)

    assert notes == []
    assert "bytes that are not UTF-8; save the file as UTF-8 (in Excel: CSV UTF-8)" in str(log.refusals[0])


@pytest.mark.parametrize("content", [b"sep=;", b"sep=;\r\n", b"sep=;\r\na;b\r\n", b";;;\n", b"\n\n"])
def test_a_file_with_nothing_below_its_first_line_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "medec.csv").write_bytes(content)

    with pytest.raises(DataError, match="is no MEDEC file"):
        read(tmp_path / "medec.csv")
