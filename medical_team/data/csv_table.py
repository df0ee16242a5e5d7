"""Rows of a CSV file, with what Excel and pandas make of one.

A file may be UTF-8 or, with a byte-order mark, UTF-16; its columns may be parted by commas, semicolons, tabs or bars,
and its first line may say so (``sep=;``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from ..errors import DataError
from .columns import Columns, count_known, find_columns, not_medec, shown
from .reading_log import ReadingLog
from .table_row import MAX_FIELD_CHARACTERS, BrokenRow, TableRow, cell_problem

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE)
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_LONGEST_HEADER = 100_000


def csv_rows(path: Path, log: ReadingLog) -> Iterator[TableRow | BrokenRow]:
    """The rows below the header of the CSV at ``path``; ``log`` is told what parts its columns.

    Raises:
        DataError: the file can't be read, or is no CSV with MEDEC's columns.
    """
    if csv.field_size_limit() < MAX_FIELD_CHARACTERS:
        csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        encoding = _encoding(path, log)
        # Bytes that are not UTF-8 become surrogates, so that only the rows that hold them are refused.
        with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
            delimiter, skipped = _delimiter(file, log)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = _header(reader, path, skipped)
            columns = find_columns(header, path, f"line {1 + skipped}")
            yield from _rows(reader, columns, len(header), skipped)
    except UnicodeDecodeError as error:
        raise not_medec(path, ["it is no UTF-16, though its first bytes say so; save it as UTF-8"]) from error
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error


def _encoding(path: Path, log: ReadingLog) -> str:
    with path.open("rb") as file:
        if file.read(2) not in _UTF_16_MARKS:
            return "utf-8-sig"
    log.remarks.append("the file is UTF-16")
    return "utf-16"


def _delimiter(file: IO[str], log: ReadingLog) -> tuple[str, int]:
    """What parts the columns, and how many lines stand before the header; ``file`` is left at the header."""
    start = file.tell()
    line = file.readline(_LONGEST_HEADER)
    named = _SEPARATOR_LINE.fullmatch(line)
    if named:
        delimiter = named.group(1)
    else:
        file.seek(start)
        delimiter = max(_DELIMITERS, key=lambda candidate: _columns_known(line, candidate))
    if delimiter != ",":
        log.remarks.append(f"columns are parted by {_DELIMITERS.get(delimiter, repr(delimiter))}")
    return delimiter, int(named is not None)


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


def _rows(reader: _Reader, columns: Columns, width: int, skipped: int) -> Iterator[TableRow | BrokenRow]:
    id_place = columns.places["Text ID"]
    while True:
        line = reader.line_num + 1 + skipped
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield BrokenRow(line, "", _csv_problem(error))
            continue
        problem = _row_problem(cells, width)
        if problem and any(cell.strip() for cell in cells):
            text_id = shown(cells[id_place].strip(), 60) if len(cells) > id_place else ""
            yield BrokenRow(line, text_id, problem)
            continue
        cells += [""] * (width - len(cells))
        yield TableRow(
            line,
            {column: cells[place] for column, place in columns.places.items()},
            {name: cells[place] for name, place in columns.metadata.items()},
        )


def _row_problem(cells: Sequence[str], width: int) -> str | None:
    if len(cells) < width:
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
