"""Typed JSON lines: dataclasses of :mod:`.records` to one line each, and back with every problem named.

Reading checks types and refuses unknown fields, and reports all problems of a file at once, each with its line.
"""

from __future__ import annotations

import codecs
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from .errors import DataError
from .files import atomic_text

RecordT = TypeVar("RecordT")

MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_PROBLEMS_SHOWN = 50

_EMPTY: tuple[object, ...] = ("", (), [], {})


def to_line(record: Any) -> str:
    """One line of JSON for a dataclass, without the newline. Characters beyond ASCII stay as they are."""
    values = dataclasses.asdict(record)
    for name in _omitted_if_empty(cast("type[Any]", type(record))):
        if values[name] is None or values[name] in _EMPTY:
            del values[name]
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def from_line(line: str | bytes, record_type: type[RecordT]) -> RecordT:
    """The record in one line of JSON.

    Raises:
        pydantic.ValidationError: the line is no JSON, or doesn't hold such a record.
    """
    # An editor may have put the mark before a file that holds one record.
    content = line.encode() if isinstance(line, str) else line
    return _adapter(record_type).validate_json(content.removeprefix(codecs.BOM_UTF8))


def write_jsonl(path: Path, records: Iterable[Any]) -> int:
    """Write ``records`` to ``path``, which appears only when all are written. Returns their number.

    Raises:
        OutputError: the file can't be written.
    """
    count = 0
    with atomic_text(path) as file:
        for record in records:
            file.write(to_line(record) + "\n")
            count += 1
    return count


def lines_sha256(records: Iterable[Any]) -> str:
    """The SHA-256, in hexadecimal, of the file that :func:`write_jsonl` would write."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(f"{to_line(record)}\n".encode())
    return digest.hexdigest()


def read_jsonl(path: Path, record_type: type[RecordT]) -> list[RecordT]:
    """All records of ``path``.

    Raises:
        DataError: the file can't be read, or some lines don't hold such a record: all of them are named.
    """
    records: list[RecordT] = []
    problems: list[str] = []
    for number, line in numbered_lines(path):
        try:
            records.append(from_line(line, record_type))
        except ValidationError as error:
            problems.extend(f"line {number}: {problem}" for problem in validation_problems(error))
    if problems:
        raise DataError(f"{path} is not a file of {record_type.__name__} lines:", shortened(problems))
    return records


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of ``path`` that are not blank, with their numbers from 1, in flat memory.

    Raises:
        DataError: the file can't be read, or a line is longer than any that we write.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise DataError(f"{path} can't be read:", [f"line {number} is longer than {MAX_LINE_BYTES} bytes"])
                if number == 1 and line.startswith(_UTF16):
                    raise DataError(
                        f"{path} can't be read:", ["it is UTF-16, as PowerShell writes it: save it as UTF-8"]
                    )
                if number == 1:
                    # Excel and PowerShell begin a UTF-8 file with it.
                    line = line.removeprefix(codecs.BOM_UTF8)
                if line.strip():
                    yield number, line
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error


def validation_problems(error: ValidationError) -> list[str]:
    """What pydantic found, as sentences naming the field."""
    problems: list[str] = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        problems.append(f"{where}: {item['msg']}" if where else item["msg"])
    return problems


def shortened(problems: list[str]) -> list[str]:
    """At most ``MAX_PROBLEMS_SHOWN`` problems, and how many more there are."""
    if len(problems) <= MAX_PROBLEMS_SHOWN:
        return problems
    return [*problems[:MAX_PROBLEMS_SHOWN], f"and {len(problems) - MAX_PROBLEMS_SHOWN} more"]


_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@cache
def _omitted_if_empty(record_type: type[Any]) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(record_type) if "omitted_if_empty" in item.metadata)


@cache
def _adapter(record_type: type[RecordT]) -> TypeAdapter[RecordT]:
    return TypeAdapter(record_type)
