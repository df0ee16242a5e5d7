"""Rows of notes out of CSV files, with what Excel and pandas make of one, and which of a file's columns are MEDEC's."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from ..errors import DataError
from ..words import fold_white_space
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

_ROW_NUMBERS = re.compile(r"(?:unnamed\d*|indexlevel\d+)?")


@dataclass(frozen=True)
class Columns:
    """Where MEDEC's columns stand in a file, and where its own do, by name."""

    places: Mapping[str, int]
    metadata: Mapping[str, int]


def column_key(name: str) -> str:
    """What the spellings of one column's name have in common."""
    return "".join(filter(str.isalnum, name.casefold()))


def count_known(names: Sequence[str]) -> int:
    """How many of MEDEC's columns are among ``names``."""
    return len(_KEYS & set(map(column_key, names)))


def find_columns(names: Sequence[str], path: Path, where: str) -> Columns:
    """The columns of the file at ``path``, which has ``names`` at ``where``. Their order is free.

    Raises:
        DataError: one of MEDEC's columns is missing or there twice.
    """
    keys = [column_key(name) for name in names]
    missing = [column for column in COLUMNS if column_key(column) not in keys and column not in OPTIONAL_COLUMNS]
    twice = [column for column in COLUMNS if keys.count(column_key(column)) > 1]
    problems = [f"{where}: there is no column {column!r}" for column in missing]
    problems += [f"{where}: the column {column!r} is there twice" for column in twice]
    if problems:
        found = ", ".join(repr(shown(name, 40)) for name in names[:MAX_NAMES_SHOWN]) or "nothing"
        raise not_medec(path, [*problems, f"expected {', '.join(COLUMNS)}; found {found}"])
    places = {column: keys.index(column_key(column)) for column in COLUMNS if column_key(column) in keys}
    others = {
        fold_white_space(name): place
        for place, (name, key) in enumerate(zip(names, keys, strict=True))
        if place not in places.values() and not _ROW_NUMBERS.fullmatch(key)
    }
    return Columns(places, others)


def not_medec(path: Path, problems: list[str]) -> DataError:
    """The error of a file that is of another kind."""
    return DataError(f"{path} is no MEDEC file:", problems)


def shown(text: str, limit: int) -> str:
    """``text`` from a file as it can stand in a message."""
    visible = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return visible if len(visible) <= limit else f"{visible[:limit]}..."


_KEYS = set(map(column_key, COLUMNS))


MAX_FIELD_CHARACTERS = 1_000_000
"""A longer field is no note: most often a quotation mark was lost and the rest of the file became one field."""

EXCEL_CELL_CHARACTERS = 32_767


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


def cell_problem(cell: str) -> str | None:
    """Why no note can have ``cell``; None where one can."""
    if len(cell) > MAX_FIELD_CHARACTERS:
        return f"a field is longer than {MAX_FIELD_CHARACTERS} characters; is a quotation mark missing?"
    if len(cell) == EXCEL_CELL_CHARACTERS:
        return f"a field has {EXCEL_CELL_CHARACTERS} characters, where Excel cuts off; take the file from before Excel"
    if "\0" in cell:
        return "the row holds NUL bytes"
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return "the row holds bytes that are not UTF-8; save the file as UTF-8 (in Excel: CSV UTF-8)"
    return None


_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE)
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF_32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_LONGEST_HEADER = 100_000
_MOST_LINES_ABOVE = 20
_FEWEST_KNOWN = 4
"""Of MEDEC's columns in a line that is a header."""


def csv_rows(path: Path, log: ReadingLog) -> Iterator[TableRow | BrokenRow]:
    """The rows below the header of the CSV at ``path``; ``log`` is told what parts its columns.

    Raises:
        DataError: the file can't be read, or is no CSV with MEDEC's columns.
    """
    if csv.field_size_limit() < MAX_FIELD_CHARACTERS:
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
    encoding = ""
    try:
        encoding = _encoding(path, log)
        # Bytes that are not UTF-8 become surrogates, so that only the rows that hold them are refused.
        with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
            delimiter, skipped = _find_header(file, log)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = _header(reader, path, skipped)
            columns = find_columns(header, path, f"line {1 + skipped}")
            yield from _rows(reader, columns, len(header), skipped, log)
    except UnicodeDecodeError as error:
        raise not_medec(path, [f"it is no {encoding}, though its first bytes say so; save it as UTF-8"]) from error
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error


def _encoding(path: Path, log: ReadingLog) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    # The mark of UTF-32 begins as that of UTF-16 does.
    encoding = "UTF-32" if start in _UTF_32_MARKS else "UTF-16" if start.startswith(_UTF_16_MARKS) else None
    if encoding is None:
        return "utf-8-sig"
    log.remarks.append(f"the file is {encoding}")
    return encoding


@dataclass(frozen=True)
class _Place:
    """The beginning of a line of a file."""

    offset: int
    lines: int
    """How many lines stand before it."""
    delimiter: str | None
    """What one of these says that parts the columns."""


def _find_header(file: IO[str], log: ReadingLog) -> tuple[str, int]:
    """What parts the columns, and how many lines stand above the header; ``file`` is left at the header.

    Titles, remarks and blank lines may stand above it. Where none of the first lines has MEDEC's columns, the first is
    taken for it.
    """
    beginning = _Place(file.tell(), 0, None)
    below = beginning
    quotes = 0
    for number in range(_MOST_LINES_ABOVE + 1):
        line = file.readline(_LONGEST_HEADER)
        named = _SEPARATOR_LINE.fullmatch(line)
        if named:
            beginning = below = _Place(file.tell(), number + 1, named.group(1))
            continue
        delimiter = below.delimiter or max(_DELIMITERS, key=lambda candidate: _columns_known(line, candidate))
        # A line inside of a quoted field is none.
        if quotes % 2 == 0 and _columns_known(line, delimiter) >= _FEWEST_KNOWN:
            if number > beginning.lines:
                log.remarks.append(f"lines above the header, left out: {number}")
            return _started(file, below, delimiter, log)
        quotes += line.count('"')
        below = _Place(file.tell(), number + 1, below.delimiter)
    file.seek(beginning.offset)
    line = file.readline(_LONGEST_HEADER)
    delimiter = beginning.delimiter or max(_DELIMITERS, key=lambda candidate: _columns_known(line, candidate))
    return _started(file, beginning, delimiter, log)


def _started(file: IO[str], place: _Place, delimiter: str, log: ReadingLog) -> tuple[str, int]:
    file.seek(place.offset)
    if delimiter != ",":
        log.remarks.append(f"columns are parted by {_DELIMITERS.get(delimiter, repr(delimiter))}")
    return delimiter, place.lines


def _columns_known(line: str, delimiter: str) -> int:
    try:
        return count_known(next(csv.reader([line], delimiter=delimiter)))
    except (csv.Error, StopIteration):
        return 0


class _Reader(Protocol):
    """What :func:`csv.reader` returns."""

    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


def _header(reader: _Reader, path: Path, skipped: int) -> list[str]:
    try:
        header = next(reader)
    except StopIteration:
        raise not_medec(
            path, ["the file is empty" if not skipped else "there is nothing below the first line"]
        ) from None
    except csv.Error as error:
        raise not_medec(path, [f"line {1 + skipped}: {_csv_problem(error)}"]) from error
    if any("\0" in cell for cell in header):
        raise not_medec(path, ["line 1 holds NUL bytes: a binary file, or UTF-16 without its mark; save it as UTF-8"])
    return header


def _rows(
    reader: _Reader, columns: Columns, width: int, skipped: int, log: ReadingLog
) -> Iterator[TableRow | BrokenRow]:
    id_place = columns.places["Text ID"]
    fewest = max(columns.places.values()) + 1
    while True:
        line = reader.line_num + 1 + skipped
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BrokenRow(line, "", _csv_problem(error))
            continue
        problem = _row_problem(cells, width, fewest)
        if problem and any(cell.strip() for cell in cells):
            text_id = shown(cells[id_place].strip(), 60) if len(cells) > id_place else ""
            yield BrokenRow(line, text_id, problem)
            continue
        if fewest <= len(cells) < width and any(cells):
            log.repairs[Repair.SHORT_ROW] += 1
        cells += [""] * (width - len(cells))
        yield TableRow(
            line,
            {column: cells[place] for column, place in columns.places.items()},
            {name: cells[place] for name, place in columns.metadata.items()},
        )


def _row_problem(cells: Sequence[str], width: int, fewest: int) -> str | None:
    # Excel writes no marks for empty cells at a row's end; behind MEDEC's columns nothing of a note is missing then.
    if len(cells) < fewest:
        return f"the row has {len(cells)} columns, expected {width}; is the file cut off here?"
    if any(cell.strip() for cell in cells[width:]):
        return f"the row has {len(cells)} columns, expected {width}; is a column's mark outside the quotes?"
    return next(filter(None, map(cell_problem, cells)), None)


def _csv_problem(error: csv.Error) -> str:
    message = str(error)
    if "field larger than" in message:
        return f"a field is longer than {MAX_FIELD_CHARACTERS} characters; is a quotation mark missing?"
    if "unexpected end of data" in message:
        return "the file ends inside a quoted field: it was cut off, or a quotation mark is missing"
    return f"this is no CSV ({message})"
