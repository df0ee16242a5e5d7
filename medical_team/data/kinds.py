"""Which kind of JSON lines a file holds, told by the fields of a line."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from ..errors import DataError
from ..jsonl import numbered_lines
from ..records import Closed, Game, TrainingRecord
from .formats import OpenRlhfRow, RedTeamForkRow


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
    return "; ".join(f"{kind.name} ({', '.join(item.name for item in fields(kind.record_type))})" for kind in KINDS)  # type: ignore[arg-type]
