"""Checking a file: every problem at once, with its line; a short summary when all is well."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import DataError
from ..jsonl import from_line, numbered_lines, shortened, validation_problems
from ..records import Game, TrainingRecord
from .cases import read_cases
from .formats import (
    Kind,
    OpenRlhfRow,
    RedTeamForkRow,
    check_format,
    kind_of_file,
    kind_of_line,
    known_kinds,
    record_of_label,
    right_verdict,
)
from .load import RecordChecks
from .tables import is_note_object


@dataclass(frozen=True)
class ValidFile:
    """What a file without problems holds."""

    path: Path
    kind: str
    lines: int
    counts: dict[str, int]
    """How many of each category."""
    remarks: tuple[str, ...] = ()
    """What is no problem and still worth knowing, such as what reading repairs."""


_Check = Callable[[Any, int], list[str]]


def validate_file(path: Path, *, is_strict: bool = False) -> ValidFile:
    """Check notes in MEDEC's columns (CSV, JSON lines, Parquet), or JSON lines of any kind that this program writes.

    Args:
        path: the file.
        is_strict: of notes, refuse also a row whose corrected text differs by more than the sentence.

    Raises:
        DataError: all problems of the file, each with its line.
    """
    if path.is_dir():
        raise DataError(f"{path} can't be checked:", ["it is a folder; name a file in it"])
    start = check_format(path)
    suffix = path.suffix.lower()
    looks_like_json = start.removeprefix(BOM_UTF8).lstrip().startswith(b"{")
    if suffix == ".csv" or not (looks_like_json or suffix in (".jsonl", ".json")):
        return _validate_notes(path, is_strict)
    first = next(iter(numbered_lines(path)), None)
    if first is not None and is_note_object(first[1]):
        return _validate_notes(path, is_strict)
    return _validate_jsonl(path, is_empty=first is None)


def _validate_notes(path: Path, is_strict: bool) -> ValidFile:
    found = read_cases([path], is_strict=is_strict)
    (file,) = found.files
    log = file.log
    counts = Counter(case.error_type for case in found.cases) + Counter(correct=file.correct_notes)
    if log.refused:
        raise DataError(f"{path}: {log.refused} of {log.rows} rows can't be used:", log.reasons())
    if not counts:
        raise DataError(f"{path} has no notes:", [f"all {log.rows} rows are blank"])
    remarks = [f"{log.repairs[repair]} rows: {repair.value}" for repair in sorted(log.repairs)]
    if log.blank_rows:
        remarks.insert(0, f"{log.blank_rows} rows are blank")
    rows = log.rows - log.blank_rows
    return ValidFile(path, "notes", rows, dict(sorted(counts.items())), (*log.remarks, *remarks))


def _validate_jsonl(path: Path, *, is_empty: bool) -> ValidFile:
    kind = kind_of_file(path)
    if kind is None:
        problem = "the file is empty" if is_empty else "no line is of a kind that we write"
        raise DataError(f"{path} can't be checked:", [problem, f"the kinds are: {known_kinds()}"])
    check = _CHECKS[kind.record_type]()
    counts: Counter[str] = Counter()
    problems: list[str] = []
    lines = 0
    for number, line in numbered_lines(path):
        lines += 1
        found = _line_problems(line, number, kind, check, counts)
        problems.extend(f"line {number}: {problem}" for problem in found)
    if problems:
        raise DataError(f"{path}: {len(problems)} problems in {lines} lines of {kind.name}:", shortened(problems))
    return ValidFile(path, kind.name, lines, dict(sorted(counts.items())))


def _line_problems(line: bytes, number: int, kind: Kind, check: _Check, counts: Counter[str]) -> list[str]:
    try:
        record = from_line(line, kind.record_type)
    except ValidationError as error:
        other = kind_of_line(line)
        if other is not None and other is not kind:
            return [f"holds {other.name}, where the file holds {kind.name}"]
        return validation_problems(error)
    counts[_category(record)] += 1
    return check(record, number)


def _category(record: Any) -> str:
    if isinstance(record, Game):
        return record.spec.data_type.value
    if isinstance(record, OpenRlhfRow):
        try:
            return record_of_label(record.label).data_type.value
        except ValidationError:
            return "unreadable label"
    return record.data_type.value


def _openrlhf_check() -> _Check:
    checks = RecordChecks()

    def check(row: OpenRlhfRow, line: int) -> list[str]:
        try:
            record = record_of_label(row.label)
        except ValidationError as error:
            return [f"label: {problem}" for problem in validation_problems(error)]
        found = [f"label: {problem}" for problem in checks.problems(record, line)]
        return found if row.input == record.note else [*found, "input: is not the note of the record in label"]

    return check


def _red_team_fork_check() -> _Check:
    def check(row: RedTeamForkRow, line: int) -> list[str]:
        found: list[str] = []
        if not row.vanilla.strip():
            found.append("vanilla: is empty")
        if row.vanilla != row.adversarial:
            found.append("adversarial: is not the note in vanilla; the engine reads one or the other")
        expected = right_verdict(row.data_type).value
        if row.completion != expected:
            found.append(f"completion: is {row.completion[:40]!r}, expected {expected!r} for {row.data_type.value}")
        return found

    return check


def _game_check() -> _Check:
    line_of_id: dict[str, int] = {}

    def check(game: Game, line: int) -> list[str]:
        first = line_of_id.setdefault(game.spec.id, line)
        return [] if first == line else [f"spec.id: {game.spec.id!r} is already on line {first}"]

    return check


_CHECKS: dict[type[Any], Callable[[], _Check]] = {
    TrainingRecord: lambda: RecordChecks().problems,
    OpenRlhfRow: _openrlhf_check,
    RedTeamForkRow: _red_team_fork_check,
    Game: _game_check,
}
