"""Rows of notes out of JSON lines and Parquet files, in which a row is an object with a field for each column."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import DataError, MissingDependencyError
from ..jsonl import numbered_lines
from .reading_log import ReadingLog
from .tables import BrokenRow, Columns, TableRow, cell_problem, count_known, find_columns, not_medec, shown

PARQUET_MARK = b"PAR1"

_BATCH_ROWS = 256
_MOST_DIGITS = 1000
_Object = Mapping[str, Any]


def jsonl_rows(path: Path) -> Iterator[TableRow | BrokenRow]:
    """The rows of the JSON lines at ``path``.

    Raises:
        DataError: the file can't be read, or its first line has not the fields of a note.
    """
    return _object_rows(_json_objects(path), path, "line")


def parquet_rows(path: Path, log: ReadingLog) -> Iterator[TableRow | BrokenRow]:
    """The rows of the Parquet file at ``path``; ``log`` counts rows from now on, since it has no lines.

    Raises:
        DataError: the file can't be read, or has not the fields of a note.
        MissingDependencyError: pyarrow is not installed.
    """
    log.unit = "row"
    return _object_rows(_parquet_objects(path), path, "row")


def is_note_object(line: bytes) -> bool:
    """Whether a line of JSON has the fields of a note."""
    value = _loaded(line)
    return isinstance(value, dict) and count_known(list(cast("_Object", value))) > 3


def _json_objects(path: Path) -> Iterator[tuple[int, Any]]:
    return ((number, _loaded(line)) for number, line in numbered_lines(path))


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line, parse_int=_whole_number)
    except (ValueError, RecursionError):
        return None


def _whole_number(digits: str) -> int | str:
    # Python refuses longer ones, which are ids.
    return int(digits) if len(digits) < _MOST_DIGITS else digits


def _parquet_objects(path: Path) -> Iterator[tuple[int, Any]]:
    pyarrow, parquet = _library("pyarrow"), _library("pyarrow.parquet")
    failures: tuple[type[Exception], ...] = (OSError, pyarrow.ArrowException)
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for value in batch.to_pylist():
                    number += 1
                    yield number, value
    except failures as error:
        raise DataError(f"{path} can't be read:", [f"it is no whole Parquet file: {str(error)[:200]}"]) from error


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingDependencyError("pyarrow, which reads Parquet files,", "parquet") from None


def _object_rows(objects: Iterator[tuple[int, Any]], path: Path, unit: str) -> Iterator[TableRow | BrokenRow]:
    is_first = True
    columns_of: dict[tuple[str, ...], Columns] = {}
    for number, value in objects:
        if not isinstance(value, dict):
            if is_first:
                remedy = f"If the file is one array, make lines of it: jq -c '.[]' {path}"
                raise not_medec(path, [f"{unit} {number} is no JSON object. {remedy}"])
            yield BrokenRow(number, "", "the line is no JSON object; is it cut off?")
            continue
        item = cast("_Object", value)
        names = tuple(item)
        if names not in columns_of:
            try:
                columns_of[names] = find_columns(names, path, f"{unit} {number}")
            except DataError as error:
                if is_first:
                    raise
                yield BrokenRow(number, "", error.problems[0].partition(": ")[2])
                continue
        if is_first and isinstance(item[names[columns_of[names].places["Text"]]], (dict, list)):
            remedy = 'write rows: frame.to_json(path, orient="records", lines=True)'
            raise not_medec(path, [f"{unit} {number} holds whole columns, as to_json of pandas writes them; {remedy}"])
        is_first = False
        yield _row(number, item, names, columns_of[names])


def _row(number: int, item: _Object, names: tuple[str, ...], columns: Columns) -> TableRow | BrokenRow:
    cells = {column: _text(item[names[place]], column) for column, place in columns.places.items()}
    metadata = {name: _text(item[names[place]], name) for name, place in columns.metadata.items()}
    problem = next(filter(None, map(cell_problem, (*cells.values(), *metadata.values()))), None)
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
