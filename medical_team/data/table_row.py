"""A row of a file of notes as it stands there, before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
