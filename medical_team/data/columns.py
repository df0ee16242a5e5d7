"""MEDEC's columns, and which of a file's columns or fields they are.

Names are told apart by their letters and digits alone: ``text_id`` is ``Text ID``. Whatever else a file has is kept as
metadata of its notes, but for the numbers of rows that pandas writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError

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
        " ".join(name.split()): place
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
