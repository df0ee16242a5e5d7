"""Rows of notes out of CSV, JSON lines and Parquet files, with what Excel and pandas make of one, and which of a file's
columns are MEDEC's."""

from __future__ import annotations

import csv
import importlib
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

from ..errors import DataError, MissingDependencyError
from ..jsonl import numbered_lines
from ..words import fold_white_space
from .formats import check_format, kind_of_line
from .reading_log import ReadingLog, Repair

COLUMNS = (
    "Text ID",
    "Text",
    "Sentences",
    "Error Flag",
    "Error Type",
    "Error Sentence ID",
    "Error Sentence",
    "Corrected Sentence",
    "Corrected Text",
)
OPTIONAL_COLUMNS = frozenset({"Sentences"})
"""Where these are missing we do without: sentences are split by us."""

MAX_NAMES_SHOWN = 12
MAX_FIELD_CHARACTERS = 1_000_000
"""A longer field is no note: most often a quotation mark was lost and the rest of the file became one field."""

EXCEL_CELL_CHARACTERS = 32_767

PARQUET_MARK = b"PAR1"

_ROW_NUMBERS = re.compile(r"(?:unnamed\d*|indexlevel\d+)?")
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE)
_MARKS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
"""With which files of an encoding begin; that of UTF-32 begins as that of UTF-16 does."""
_LONGEST_LINE = 4 * MAX_FIELD_CHARACTERS
_MOST_LINES_ABOVE = 20
_BATCH_ROWS = 256
_MOST_DIGITS = 1000
_TOO_LONG = f"a field is longer than {MAX_FIELD_CHARACTERS} characters; is a quotation mark missing?"


@dataclass(frozen=True)
class TableRow:
    """Cells by MEDEC's column, and by name what else the file has."""

    line: int
    cells: Mapping[str, str]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class BrokenRow:
    """A row that has no cells to speak of."""

    line: int
    text_id: str
    reason: str


def table_rows(path: Path, log: ReadingLog) -> Iterator[TableRow | BrokenRow]:
    """The rows of the file at ``path``; ``log`` is told how it was read, where that is no matter of course.

    Raises:
        DataError: the file can't be read, or has not MEDEC's columns.
        MissingDependencyError: it is a Parquet file, and pyarrow is not installed.
    """
    if path.is_dir():
        raise DataError(f"{path} can't be read:", ["it is a folder; name the file in it"])
    start = check_format(path)
    if start.startswith(PARQUET_MARK):
        # It has no lines.
        log.unit = "row"
        return _rows(_parquet_objects(path), path, log.unit)
    if not (
        start.removeprefix(BOM_UTF8).startswith((b"{", b"[")) or path.suffix.lower() in (".jsonl", ".json", ".ndjson")
    ):
        return _csv_rows(path, log)
    first = next(iter(numbered_lines(path)), None)
    if first is None:
        raise not_medec(path, ["the file is empty"])
    if (kind := kind_of_line(first[1])) is not None:
        raise not_medec(path, [f"it holds {kind.name}; build from the file of notes that they were made of"])
    return _rows(((number, _loaded(line)) for number, line in numbered_lines(path)), path, log.unit)


@lru_cache(maxsize=1000)
def column_key(name: str) -> str:
    """What the spellings of one column's name have in common."""
    return "".join(filter(str.isalnum, name.casefold()))


def is_note_object(line: bytes) -> bool:
    """Whether a line of JSON has the fields of a note."""
    value = _loaded(line)
    return isinstance(value, dict) and _columns_known(list(cast("Mapping[str, Any]", value))) > 3


def not_medec(path: Path, problems: list[str]) -> DataError:
    """The error of a file that is of another kind."""
    return DataError(f"{path} is no MEDEC file:", problems)


def shown(text: str, limit: int) -> str:
    """``text`` from a file as it can stand in a message."""
    visible = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return visible if len(visible) <= limit else f"{visible[:limit]}..."


_KEYS = {column_key(column): column for column in COLUMNS}


def _columns_known(names: Sequence[str]) -> int:
    return len(_KEYS.keys() & set(map(column_key, names)))


def _rows(objects: Iterable[tuple[int, Any]], path: Path, unit: str) -> Iterator[TableRow | BrokenRow]:
    """The rows of a file out of its numbered objects, each with a field for each column."""
    is_first = True
    for number, value in objects:
        if isinstance(value, BrokenRow):
            yield value
            continue
        if not isinstance(value, dict):
            if is_first:
                remedy = f"If the file is one array, make lines of it: jq -c '.[]' {path}"
                raise not_medec(path, [f"{unit} {number} is no JSON object. {remedy}"])
            yield BrokenRow(number, "", "the line is no JSON object; is it cut off?")
            continue
        fields = cast("Mapping[str, Any]", value)
        problems = _column_problems(tuple(fields))
        if problems and is_first:
            raise not_medec(path, _with_expected(problems, list(fields), f"{unit} {number}"))
        if is_first and any(
            isinstance(item, (dict, list)) for name, item in fields.items() if column_key(name) == "text"
        ):
            remedy = 'write rows: frame.to_json(path, orient="records", lines=True)'
            raise not_medec(path, [f"{unit} {number} holds whole columns, as to_json of pandas writes them; {remedy}"])
        is_first = False
        yield BrokenRow(number, "", problems[0]) if problems else _row(number, fields)


@lru_cache(maxsize=100)
def _column_problems(names: tuple[str, ...]) -> list[str]:
    keys = [column_key(name) for name in names]
    missing = [column for key, column in _KEYS.items() if key not in keys and column not in OPTIONAL_COLUMNS]
    twice = [column for key, column in _KEYS.items() if keys.count(key) > 1]
    return [
        *(f"there is no column {column!r}" for column in missing),
        *(f"the column {column!r} is there twice" for column in twice),
    ]


def _with_expected(problems: Sequence[str], names: Sequence[str], where: str) -> list[str]:
    found = ", ".join(repr(shown(name, 40)) for name in names[:MAX_NAMES_SHOWN]) or "nothing"
    return [*(f"{where}: {problem}" for problem in problems), f"expected {', '.join(COLUMNS)}; found {found}"]


def _row(number: int, fields: Mapping[str, Any]) -> TableRow | BrokenRow:
    cells: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in fields.items():
        key = column_key(name)
        if key in _KEYS:
            cells[_KEYS[key]] = _text(value, _KEYS[key])
        elif not _ROW_NUMBERS.fullmatch(key):
            metadata[fold_white_space(name)] = _text(value, name)
    problem = next(filter(None, map(_cell_problem, (*cells.values(), *metadata.values()))), None)
    if problem:
        return BrokenRow(number, shown(cells["Text ID"].strip(), 60), problem)
    return TableRow(number, cells, metadata)


def _text(value: Any, column: str) -> str:
    """A value as a CSV would hold it."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list) and column == "Sentences":
        return "\n".join(f"{number} {sentence}" for number, sentence in enumerate(cast("list[Any]", value)))
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _cell_problem(cell: str) -> str | None:
    """Why no note can have ``cell``; None where one can."""
    if len(cell) > MAX_FIELD_CHARACTERS:
        return _TOO_LONG
    if len(cell) == EXCEL_CELL_CHARACTERS:
        return f"a field has {EXCEL_CELL_CHARACTERS} characters, where Excel cuts off; take the file from before Excel"
    if "\0" in cell:
        return "the row holds NUL bytes"
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return "the row holds bytes that are not UTF-8; save the file as UTF-8 (in Excel: CSV UTF-8)"
    return None


def _csv_rows(path: Path, log: ReadingLog) -> Iterator[TableRow | BrokenRow]:
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    encoding = "utf-8-sig"
    try:
        with path.open("rb") as opened:
            start = opened.read(4)
        if marked := next((name for mark, name in _MARKS.items() if start.startswith(mark)), None):
            encoding = marked
            log.remarks.append(f"the file is {encoding}")
        # Bytes that are not UTF-8 become surrogates, so that only the rows that hold them are refused.
        with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
            yield from _rows(_csv_objects(file, path, log), path, "line")
    except UnicodeDecodeError as error:
        raise not_medec(path, [f"it is no {encoding}, though its first bytes say so; save it as UTF-8"]) from error
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error


def _csv_objects(file: IO[str], path: Path, log: ReadingLog) -> Iterator[tuple[int, dict[str, str] | BrokenRow]]:
    lines = [line for _ in range(_MOST_LINES_ABOVE) if (line := file.readline(_LONGEST_LINE))]
    named = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    first = 1 if named else 0
    # Titles may stand above the header, and a line inside of a quoted field is none.
    skipped, delimiter = max(
        (
            (place, mark)
            for place in range(first, max(len(lines), first + 1))
            if "".join(lines[:place]).count('"') % 2 == 0
            for mark in ([named[1]] if named else _DELIMITERS)
        ),
        key=lambda found: _columns_known(_first_cells(lines[found[0] : found[0] + 1], found[1])),
    )
    if skipped > first:
        log.remarks.append(f"lines above the header, left out: {skipped}")
    if delimiter != ",":
        log.remarks.append(f"columns are parted by {_DELIMITERS.get(delimiter, repr(delimiter))}")
    reader = csv.reader(chain(lines[skipped:], file), delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise not_medec(path, [f"line {1 + skipped}: {_csv_problem(error)}"]) from error
    if header is None:
        raise not_medec(path, ["there is nothing below the first line" if lines else "the file is empty"])
    if any("\0" in cell for cell in header):
        raise not_medec(path, ["line 1 holds NUL bytes: a binary file, or UTF-16 without its mark; save it as UTF-8"])
    if problems := _column_problems(tuple(header)):
        raise not_medec(path, _with_expected(problems, header, f"line {1 + skipped}"))
    places = {_KEYS[key]: place for place, key in enumerate(map(column_key, header)) if key in _KEYS}
    id_place, fewest = places["Text ID"], max(places.values()) + 1
    while True:
        number = reader.line_num + 1 + skipped
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield number, BrokenRow(number, "", _csv_problem(error))
            continue
        if cells is None:
            return
        problem = _width_problem(cells, len(header), fewest)
        if problem and any(cell.strip() for cell in cells):
            text_id = shown(cells[id_place].strip(), 60) if len(cells) > id_place else ""
            yield number, BrokenRow(number, text_id, problem)
            continue
        if fewest <= len(cells) < len(header) and any(cells):
            log.repairs[Repair.SHORT_ROW] += 1
        yield number, dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=False))


def _first_cells(lines: Sequence[str], delimiter: str) -> list[str]:
    try:
        return next(csv.reader(lines, delimiter=delimiter))
    except (csv.Error, StopIteration):
        return []


def _width_problem(cells: Sequence[str], width: int, fewest: int) -> str | None:
    # Excel writes no marks for empty cells at a row's end; behind MEDEC's columns nothing of a note is missing then.
    if len(cells) < fewest:
        return f"the row has {len(cells)} columns, expected {width}; is the file cut off here?"
    if any(cell.strip() for cell in cells[width:]):
        return f"the row has {len(cells)} columns, expected {width}; is a column's mark outside the quotes?"
    return None


def _csv_problem(error: csv.Error) -> str:
    message = str(error)
    if "field larger than" in message:
        return _TOO_LONG
    if "unexpected end of data" in message:
        return "the file ends inside a quoted field: it was cut off, or a quotation mark is missing"
    return f"this is no CSV ({message})"


def _loaded(line: bytes) -> Any:
    try:
        # Python refuses longer numbers, which are ids.
        return json.loads(line, parse_int=lambda digits: int(digits) if len(digits) < _MOST_DIGITS else digits)
    except (ValueError, RecursionError):
        return None


def _parquet_objects(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingDependencyError("pyarrow, which reads Parquet files,", "parquet") from None
    failures: tuple[type[Exception], ...] = (OSError, pyarrow.ArrowException)
    try:
        with parquet.ParquetFile(path) as file:
            values = (value for batch in file.iter_batches(batch_size=_BATCH_ROWS) for value in batch.to_pylist())
            yield from enumerate(values, 1)
    except failures as error:
        raise DataError(f"{path} can't be read:", [f"it is no whole Parquet file: {str(error)[:200]}"]) from error
