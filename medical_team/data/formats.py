"""The formats of files: the training engines' own, made from training records; which kind of JSON lines a file
holds; and files that are not read, told by their first bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from ..errors import DataError
from ..jsonl import from_line, numbered_lines, to_line
from ..records import Closed, DataType, Game, TrainingRecord, Verdict
from ..terminal_text import shell_word

_FORMATS = {
    b"\x1f\x8b": "it is packed by gzip: unpack it first (gunzip {name})",
    b"BZh": "it is packed by bzip2: unpack it first (bunzip2 {name})",
    b"\xfd7zXZ\0": "it is packed by xz: unpack it first (unxz {name})",
    b"\x28\xb5\x2f\xfd": "it is packed by zstd: unpack it first (unzstd {name})",
    b"PK\x03\x04": "it is an Excel workbook or another zip archive: save the sheet as CSV UTF-8, or unpack it",
    b"\xd0\xcf\x11\xe0": "it is an Excel workbook of the old format: save the sheet as CSV UTF-8",
    b"%PDF": "it is a PDF: notes have to be in a table",
    b"SQLite format 3\0": "it is an SQLite database: write the table out as CSV",
    b"ARROW1": "it is an Arrow file: write it out as Parquet, CSV or JSON lines",
}


_BEFORE_ADDRESSES = frozenset({"http:", "https:", "ftp:", "file:", "s3:", "gs:", "hf:"})


def check_format(path: Path) -> bytes:
    """Check that ``path`` is a file that can be read twice, and not of a format that is known and not read.

    Returns:
        Its first bytes.

    Raises:
        DataError: it is; it says what to do. Or the file can't be read.
    """
    if path.parts and path.parts[0] in _BEFORE_ADDRESSES and not path.exists():
        raise DataError(f"{path} can't be read:", ["it is an address: download what is there, and name the file"])
    if path.exists() and not path.is_file() and not path.is_dir():
        raise DataError(f"{path} can't be read:", ["it is no regular file; the file is read twice, so save it first"])
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error
    for mark, problem in _FORMATS.items():
        if start.startswith(mark):
            raise DataError(f"{path} can't be read:", [problem.format(name=shell_word(path))])
    return start


EngineFormat = Literal["openrlhf", "red-team-fork"]


@dataclass(frozen=True)
class OpenRlhfRow(Closed):
    """One line for upstream OpenRLHF."""

    input: str
    label: str


@dataclass(frozen=True)
class RedTeamForkRow(Closed):
    """One line for the Self-RedTeam fork."""

    vanilla: str
    adversarial: str
    completion: str
    data_type: DataType


def openrlhf_row(record: TrainingRecord) -> OpenRlhfRow:
    """``record`` for upstream OpenRLHF."""
    return OpenRlhfRow(input=record.note, label=to_line(record))


def record_of_label(label: str) -> TrainingRecord:
    """The record that an upstream label holds.

    Raises:
        pydantic.ValidationError: the label was not written by :func:`openrlhf_row`.
    """
    return from_line(label, TrainingRecord)


def red_team_fork_row(record: TrainingRecord) -> RedTeamForkRow:
    """``record`` for the Self-RedTeam fork."""
    return RedTeamForkRow(
        vanilla=record.note,
        adversarial=record.note,
        completion=right_verdict(record.data_type).value,
        data_type=record.data_type,
    )


def right_verdict(data_type: DataType) -> Verdict:
    """What an assessor should say of the seed note of a game of ``data_type``."""
    return Verdict.HARMFUL if data_type.is_harmful else Verdict.SAFE


def rows_of(
    records: Iterable[TrainingRecord], engine: EngineFormat, *, all_vanilla: bool = False
) -> Iterator[OpenRlhfRow | RedTeamForkRow]:
    """``records`` as lines for ``engine``; with ``all_vanilla`` every row says ``vanilla_*`` (for the fork)."""
    for record in records:
        written = replace(record, data_type=record.data_type.vanilla) if all_vanilla else record
        yield openrlhf_row(written) if engine == "openrlhf" else red_team_fork_row(written)


@dataclass(frozen=True)
class Kind:
    """A kind of line that this program writes."""

    name: str
    record_type: type[Closed]
    telling: frozenset[str]
    """Fields that no other kind has all of."""


TRAINING_RECORDS = Kind("training records", TrainingRecord, frozenset({"data_type", "note"}))
OPENRLHF_ROWS = Kind("OpenRLHF rows", OpenRlhfRow, frozenset({"input", "label"}))
RED_TEAM_FORK_ROWS = Kind("Self-RedTeam fork rows", RedTeamForkRow, frozenset({"vanilla", "adversarial"}))
GAMES = Kind("games", Game, frozenset({"spec", "turns"}))

KINDS = (TRAINING_RECORDS, OPENRLHF_ROWS, RED_TEAM_FORK_ROWS, GAMES)


def kind_of_line(line: bytes) -> Kind | None:
    """The kind of a line, None when it is no JSON object or of no kind that we know."""
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    names = set(cast("dict[str, Any]", value))
    return next((kind for kind in KINDS if kind.telling <= names), None)


def kind_of_file(path: Path) -> Kind | None:
    """The kind of the first line of ``path`` that has one; None when no line does.

    Raises:
        DataError: the file can't be read.
    """
    return next((kind for _, line in numbered_lines(path) if (kind := kind_of_line(line))), None)


def is_written_by_us(path: Path) -> bool:
    """Whether ``path`` may be replaced: it is an empty file, or one whose first line is of a kind that we write."""
    try:
        first = next(iter(numbered_lines(path)), None)
    except DataError:
        return False
    return first is None or kind_of_line(first[1]) is not None


def known_kinds() -> str:
    """The kinds with their fields, for messages."""
    named = ((kind.name, [item.name for item in fields(cast("Any", kind.record_type))]) for kind in KINDS)
    return "; ".join(f"{name} ({', '.join(keys)})" for name, keys in named)
