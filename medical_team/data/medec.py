"""The notes of a file in MEDEC's columns, row by row and in flat memory, with every trap that such files set.

A row that can't be used is refused with its reason and reading goes on; a row that can be mended is mended and the
repair counted: both are in the :class:`.reading_log.ReadingLog`. MEDEC's own files have no byte-order mark, end records
in CRLF, mark a correct note with the literal ``NA`` and -1, hold blank placeholder rows, double-encoded characters, and
white space at the end of a text that gives its label away. Other data sets have other formats, columns and error types.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..error_types import error_type_named
from ..errors import DataError
from ..records import Note
from ..sentences import starts_of
from ..text_repair import (
    decode_entities,
    decode_mojibake,
    drop_unseen,
    find_alike,
    join_marks,
    unify_line_ends,
)
from ..words import END_MARKS, fold_white_space, numbered_sentences, split_sentences
from .reading_log import ReadingLog, Repair
from .tables import BrokenRow, TableRow, shown, table_rows

NOT_APPLICABLE = "NA"

MAX_TYPE_CHARACTERS = 80
"""A longer name of an error type is none: most often the columns are shifted."""

_MISSING = frozenset({"", "na", "n/a", "nan", "none", "null", "<na>"})
"""What stands where there is nothing to say: MEDEC's mark, and what programs make of it."""
_TRUTH_VALUES = {"true": 1, "false": 0}

_TEXT_COLUMNS = ("Text", "Sentences", "Error Sentence", "Corrected Sentence", "Corrected Text")
_ERROR_COLUMNS = ("Error Type", "Error Sentence", "Corrected Sentence", "Corrected Text")

_MENDING = {Repair.ENTITIES: decode_entities, Repair.UNSEEN: drop_unseen, Repair.MARKS: join_marks}


@dataclass(frozen=True)
class MedecRow:
    """A row that can be used: the cells as the file has them, by column, and the repaired note."""

    cells: Mapping[str, str]
    note: Note
    sentences: Mapping[int, str]
    """The repaired sentences, by number."""


class _RowError(Exception):
    """Why a row is refused."""


def read_medec(path: Path, log: ReadingLog) -> Iterator[Note]:
    """The notes of the file at ``path`` (CSV, JSON lines or Parquet), in order, repaired; ``log`` fills meanwhile.

    Raises:
        DataError: the file can't be read, has not MEDEC's columns, or has no row at all.
        MissingDependencyError: it is a Parquet file, and pyarrow is not installed.
    """
    return (row.note for row in read_rows(path, log))


def read_rows(path: Path, log: ReadingLog) -> Iterator[MedecRow]:
    """As :func:`read_medec`, with the raw cells, which official scoring is done against."""
    line_of_id: dict[str, int] = {}
    for row in table_rows(path, log):
        log.rows += 1
        if isinstance(row, BrokenRow):
            log.refuse(row.line, row.text_id, row.reason)
            continue
        if not any(cell.strip() for cell in (*row.cells.values(), *row.metadata.values())):
            log.blank_rows += 1
            continue
        try:
            read, repairs = _read(row, line_of_id, log.unit)
        except _RowError as error:
            log.refuse(row.line, shown(row.cells["Text ID"].strip(), 60), str(error))
            continue
        log.repairs.update(repairs)
        yield read
    if log.rows == 0:
        raise DataError(f"{path} has no notes:", ["there is nothing below the header"])


def _read(row: TableRow, line_of_id: dict[str, int], unit: str) -> tuple[MedecRow, set[Repair]]:
    cells = {"Sentences": "", **row.cells}
    repaired, metadata, repairs = _repaired(cells, row.metadata)
    numbered = numbered_sentences(repaired["Sentences"], repaired["Text"])
    sentences = numbered or dict(enumerate(split_sentences(repaired["Text"])))
    note = _note(cells | repaired, sentences, row.line, repairs)
    starts = starts_of(note.text, sentences)
    first = line_of_id.setdefault(note.text_id, row.line)
    if first != row.line:
        raise _RowError(f"the Text ID is already on {unit} {first}")
    return MedecRow(cells, replace(note, metadata=metadata, sentence_starts=starts), sentences), repairs


def _repaired(
    cells: Mapping[str, str], metadata: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], set[Repair]]:
    """The text cells and the metadata of a row repaired, and what was mended in its note.

    What is in Sentences is only looked at, so not counted.
    """
    unified = {column: unify_line_ends(cells[column]) for column in _TEXT_COLUMNS}
    # As one text: what a short sentence leaves open, the rest of its row decides. No cell holds the character between.
    together, misreadings = decode_mojibake("\0".join([*unified.values(), *metadata.values()]))
    found = {Repair[misreading.name] for misreading in misreadings}
    for repair, mend in _MENDING.items():
        mended = mend(together)
        if mended != together:
            found.add(repair)
            together = mended
    parts = together.split("\0")
    decoded: dict[str, str] = dict(zip(_TEXT_COLUMNS, parts, strict=False))
    stripped = {column: cell.strip() for column, cell in decoded.items()}
    counted = [column for column in _TEXT_COLUMNS if column != "Sentences"]
    if any(unified[column] != cells[column] for column in counted):
        found.add(Repair.LINE_ENDS)
    if any(stripped[column] != decoded[column] for column in counted):
        found.add(Repair.OUTER_WHITE_SPACE)
    others = {name: fold_white_space(value) for name, value in zip(metadata, parts[len(_TEXT_COLUMNS) :], strict=True)}
    return stripped, {name: value for name, value in others.items() if value}, found


def _note(cells: Mapping[str, str], sentences: Mapping[int, str], line: int, found: set[Repair]) -> Note:
    """The note of a row whose ``cells`` are repaired."""
    text_id = fold_white_space(cells["Text ID"])
    if not text_id:
        raise _RowError("the Text ID is empty")
    if not cells["Text"]:
        raise _RowError("the Text is empty")
    flag = _integer(cells, "Error Flag", found)
    if flag not in (0, 1):
        raise _RowError(f"Error Flag is {flag}, expected 0 or 1")
    note = Note(text_id, cells["Text"], bool(flag), None, -1, None, None, None, line)
    return _error_note(cells, note, sentences, found) if flag else _correct_note(cells, note, found)


def _correct_note(cells: Mapping[str, str], note: Note, found: set[Repair]) -> Note:
    filled = [column for column in _ERROR_COLUMNS if not _is_missing(cells[column])]
    if filled == ["Corrected Text"] and fold_white_space(cells["Corrected Text"]) == fold_white_space(note.text):
        found.add(Repair.REPEATED_TEXT)
    elif filled:
        raise _RowError(f"Error Flag is 0, but {' and '.join(filled)} is not {NOT_APPLICABLE}")
    columns = _ERROR_COLUMNS
    if _is_missing(cells["Error Sentence ID"]):
        columns = (*_ERROR_COLUMNS, "Error Sentence ID")
    elif (sentence_id := _integer(cells, "Error Sentence ID", found)) != -1:
        raise _RowError(f"Error Flag is 0, but Error Sentence ID is {sentence_id}, expected -1")
    if any(_is_missing(cells[column]) and cells[column].strip() != NOT_APPLICABLE for column in columns):
        found.add(Repair.EMPTY_AS_NA)
    return note


def _error_note(cells: Mapping[str, str], note: Note, sentences: Mapping[int, str], found: set[Repair]) -> Note:
    missing = [column for column in _ERROR_COLUMNS if _is_missing(cells[column])]
    if missing:
        raise _RowError(f"Error Flag is 1, but {' and '.join(missing)} is {NOT_APPLICABLE} or empty")
    sentence_id = _integer(cells, "Error Sentence ID", found)
    if sentence_id < 0:
        raise _RowError(f"Error Flag is 1, but Error Sentence ID is {sentence_id}")
    if not find_alike(cells["Error Sentence"].rstrip(END_MARKS), sentences.get(sentence_id, "")):
        found.add(Repair.NOTICE_SENTENCE_ID)
    return replace(
        note,
        error_type=_error_type(cells["Error Type"], found),
        error_sentence_id=sentence_id,
        error_sentence=cells["Error Sentence"],
        corrected_sentence=cells["Corrected Sentence"],
        corrected_text=cells["Corrected Text"],
    )


def _is_missing(cell: str) -> bool:
    return cell.strip().casefold() in _MISSING


def _integer(cells: Mapping[str, str], column: str, found: set[Repair]) -> int:
    cell = cells[column].strip()
    truth = _TRUTH_VALUES.get(cell.casefold())
    # Where columns are parted by semicolons, numbers have decimal commas.
    whole, _, zeros = cell.replace(",", ".").partition(".")
    # Long digit strings are refused too: int() takes quadratic time over them.
    if truth is None and (not whole.removeprefix("-").isdecimal() or zeros.strip("0") or len(whole) > 9):
        raise _RowError(f"{column} is {shown(cell, 40)!r}, expected a number")
    if truth is not None or whole != cell:
        found.add(Repair.FLAG)
    return int(whole) if truth is None else truth


def _error_type(cell: str, found: set[Repair]) -> str:
    name = error_type_named(cell)
    if len(name) > MAX_TYPE_CHARACTERS or not name.isprintable():
        raise _RowError(f"Error Type is {shown(cell.strip(), 40)!r}, expected a name of few words")
    if cell != name:
        found.add(Repair.ERROR_TYPE)
    return name
