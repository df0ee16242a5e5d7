"""Reading MEDEC's CSV files, row by row and in flat memory, with every trap that its files set.

A row that can't be used is refused with its reason and reading goes on; a row that can be mended is mended and the
repair counted: both are in the :class:`ReadingLog`. The published files have no byte-order mark, end records in CRLF,
mark a correct note with the literal ``NA`` and -1, hold blank placeholder rows, double-encoded characters, and white
space at the end of a text that gives its label away.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

from ..error_types import error_type_named
from ..errors import DataError
from ..mojibake import Misreading, decode_mojibake
from ..records import Note
from ..sentences import END_MARKS, numbered_sentences, split_sentences
from ..text_repair import find_alike, fold_white_space, unify_line_ends

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
NOT_APPLICABLE = "NA"

MAX_FIELD_CHARACTERS = 1_000_000
"""A longer field is no note: most often a quotation mark was lost and the rest of the file became one field."""

MAX_TYPE_CHARACTERS = 80
"""A longer name of an error type is none: most often the columns are shifted."""

MAX_REFUSALS_KEPT = 1000

_TEXT_COLUMNS = ("Text", "Sentences", "Error Sentence", "Corrected Sentence", "Corrected Text")
_ERROR_COLUMNS = ("Error Type", "Error Sentence", "Corrected Sentence", "Corrected Text")


class Repair(str, Enum):
    """What was mended. Each is counted once a row, or once a case."""

    MOJIBAKE = "double-encoded characters decoded"
    MAC_ROMAN = "characters that were read as Mac Roman decoded"
    LATIN_1 = "quotation marks and dashes that were read as latin-1 control characters decoded"
    OUTER_WHITE_SPACE = "white space at the ends stripped"
    LINE_ENDS = "line ends unified"
    FLAG = 'flag or sentence number as a float ("1.0") read as an integer'
    EMPTY_AS_NA = "empty cell of a correct note read as NA"
    ERROR_TYPE = "error type in another spelling"
    LAYOUT = "white space of the corrected note made that of the error note"
    SENTENCE = "error sentence found in the text by its words, or corrected sentence given its end mark"
    CORRECTED_TEXT = "corrected text with other changes outside the sentence made anew from the two sentences"
    NOTICE_SENTENCE_ID = "notice: Error Sentence ID names another sentence in Sentences (kept)"
    NOTICE_ALREADY_THERE = "notice: corrected sentence already stands in the error note (kept)"


_REPAIR_OF_MISREADING = {
    Misreading.CP1252: Repair.MOJIBAKE,
    Misreading.MAC_ROMAN: Repair.MAC_ROMAN,
    Misreading.LATIN_1: Repair.LATIN_1,
}


@dataclass(frozen=True)
class Refusal:
    """A row that is not used, and why."""

    line: int
    text_id: str
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}" + (f" ({self.text_id})" if self.text_id else "")
        return f"{where}: {self.reason}"


@dataclass
class ReadingLog:
    """What happened while a file was read. It fills as the rows are taken; the first refusals are kept, all counted."""

    rows: int = 0
    blank_rows: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list[Refusal])
    repairs: Counter[Repair] = field(default_factory=Counter[Repair])

    def refuse(self, line: int, text_id: str, reason: str) -> None:
        """Note a row that is not used."""
        self.refused += 1
        if len(self.refusals) < MAX_REFUSALS_KEPT:
            self.refusals.append(Refusal(line, text_id, reason))


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
    """The notes of the MEDEC CSV at ``path``, in order, repaired; ``log`` fills meanwhile.

    Raises:
        DataError: the file can't be read, is no CSV with MEDEC's columns, or has no row at all.
    """
    return (row.note for row in read_rows(path, log))


def read_rows(path: Path, log: ReadingLog) -> Iterator[MedecRow]:
    """As :func:`read_medec`, with the raw cells, which official scoring is done against."""
    _check_is_file(path)
    _allow_long_fields()
    try:
        # Bytes that are not UTF-8 become surrogates, so that only the rows that hold them are refused.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = _header(reader, path)
            yield from _rows(reader, _column_places(header, path), len(header), log)
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error
    if log.rows == 0:
        raise DataError(f"{path} has no notes:", ["there is nothing below the header"])


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} can't be read:", ["it is a folder; name the CSV file in it"])
    if path.exists() and not path.is_file():
        raise DataError(f"{path} can't be read:", ["it is no regular file; the file is read twice, so save it first"])


def _allow_long_fields() -> None:
    if csv.field_size_limit() < MAX_FIELD_CHARACTERS:
        csv.field_size_limit(MAX_FIELD_CHARACTERS)


class _Reader(Protocol):
    """What :func:`csv.reader` returns."""

    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


def _header(reader: _Reader, path: Path) -> list[str]:
    try:
        return next(reader)
    except StopIteration:
        raise DataError(f"{path} is no MEDEC CSV:", ["the file is empty"]) from None
    except csv.Error as error:
        raise DataError(f"{path} is no MEDEC CSV:", [f"line 1: {_csv_problem(error)}"]) from error


def _column_places(header: Sequence[str], path: Path) -> dict[str, int]:
    """Where each column stands. Other columns are ignored; the order is free."""
    if any("\0" in cell for cell in header):
        raise DataError(
            f"{path} is no MEDEC CSV:", ["line 1 holds NUL bytes: a binary file, or UTF-16; save it as UTF-8"]
        )
    if header and header[0].lstrip().startswith("{"):
        raise DataError(f"{path} is no MEDEC CSV:", ["it looks like JSON lines; `data validate` reads those"])
    names = [" ".join(cell.split()).casefold() for cell in header]
    missing = [column for column in COLUMNS if column.casefold() not in names]
    twice = [column for column in COLUMNS if names.count(column.casefold()) > 1]
    problems = [f"line 1: there is no column {column!r}" for column in missing]
    problems += [f"line 1: the column {column!r} is there twice" for column in twice]
    if problems:
        found = ", ".join(repr(_shown(cell, 40)) for cell in header[:12]) or "nothing"
        raise DataError(f"{path} is no MEDEC CSV:", [*problems, f"expected {', '.join(COLUMNS)}; found {found}"])
    return {column: names.index(column.casefold()) for column in COLUMNS}


def _rows(reader: _Reader, columns: Mapping[str, int], width: int, log: ReadingLog) -> Iterator[MedecRow]:
    line_of_id: dict[int, int] = {}
    for line, cells in _numbered_rows(reader, log):
        log.rows += 1
        if not any(cell.strip() for cell in cells):
            log.blank_rows += 1
            continue
        text_id = _shown(cells[columns["Text ID"]].strip(), 60) if len(cells) > columns["Text ID"] else ""
        try:
            _check_cells(cells, width)
            named = {column: cells[place] for column, place in columns.items()}
            repaired, repairs = _repaired(named)
            sentences = _sentences(repaired)
            note = _note(named | repaired, sentences, line, repairs)
            # The hash of the id, not the id: a file may be long. It never reaches what is written.
            first = line_of_id.setdefault(hash(note.text_id), line)
            if first != line:
                raise _RowError(f"the Text ID is already on line {first}")
        except _RowError as error:
            log.refuse(line, text_id, str(error))
        else:
            log.repairs.update(repairs)
            yield MedecRow(named, note, sentences)


def _numbered_rows(reader: _Reader, log: ReadingLog) -> Iterator[tuple[int, list[str]]]:
    """The rows with the line on which each starts. What the CSV parser can't read is refused."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            log.rows += 1
            log.refuse(line, "", _csv_problem(error))
        else:
            yield line, cells


def _csv_problem(error: csv.Error) -> str:
    message = str(error)
    if "field larger than" in message:
        return f"a field is longer than {MAX_FIELD_CHARACTERS} characters; is a quotation mark missing?"
    if "unexpected end of data" in message:
        return "the file ends inside a quoted field: it was cut off, or a quotation mark is missing"
    return f"this is no CSV ({message})"


def _check_cells(cells: Sequence[str], width: int) -> None:
    if len(cells) < width:
        raise _RowError(f"the row has {len(cells)} columns, expected {width}; is the file cut off here?")
    if any(cell.strip() for cell in cells[width:]):
        raise _RowError(f"the row has {len(cells)} columns, expected {width}; is a comma outside the quotes?")
    if any(len(cell) > MAX_FIELD_CHARACTERS for cell in cells):
        raise _RowError(f"a field is longer than {MAX_FIELD_CHARACTERS} characters; is a quotation mark missing?")
    if any("\0" in cell for cell in cells):
        raise _RowError("the row holds NUL bytes")
    if not all(map(_is_utf_8, cells)):
        raise _RowError("the row holds bytes that are not UTF-8; save the file as UTF-8")


def _is_utf_8(cell: str) -> bool:
    try:
        cell.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _repaired(cells: Mapping[str, str]) -> tuple[dict[str, str], set[Repair]]:
    """The text cells of a row repaired, and what was mended; what is in Sentences is only looked at, so not counted."""
    unified = {column: unify_line_ends(cells[column]) for column in _TEXT_COLUMNS}
    # As one text: what a short sentence leaves open, the rest of its row decides. No cell holds the character between.
    together, misreadings = decode_mojibake("\0".join(unified.values()))
    decoded: dict[str, str] = dict(zip(_TEXT_COLUMNS, together.split("\0"), strict=True))
    stripped = {column: cell.strip() for column, cell in decoded.items()}
    found = {_REPAIR_OF_MISREADING[misreading] for misreading in misreadings}
    counted = [column for column in _TEXT_COLUMNS if column != "Sentences"]
    if any(unified[column] != cells[column] for column in counted):
        found.add(Repair.LINE_ENDS)
    if any(stripped[column] != decoded[column] for column in counted):
        found.add(Repair.OUTER_WHITE_SPACE)
    return stripped, found


def _sentences(repaired: Mapping[str, str]) -> dict[int, str]:
    """The sentences by the file's numbers, or by ours where it numbers none."""
    numbered = numbered_sentences(repaired["Sentences"], repaired["Text"])
    return numbered or dict(enumerate(split_sentences(repaired["Text"])))


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
    sentence_id = _integer(cells, "Error Sentence ID", found)
    note = Note(text_id, cells["Text"], bool(flag), None, sentence_id, None, None, None, line)
    if flag:
        return _error_note(cells, note, sentences.get(sentence_id, ""), found)
    return _correct_note(cells, note, found)


def _correct_note(cells: Mapping[str, str], note: Note, found: set[Repair]) -> Note:
    filled = [column for column in _ERROR_COLUMNS if cells[column].strip() not in ("", NOT_APPLICABLE)]
    if filled:
        raise _RowError(f"Error Flag is 0, but {' and '.join(filled)} is not {NOT_APPLICABLE}")
    if note.error_sentence_id != -1:
        raise _RowError(f"Error Flag is 0, but Error Sentence ID is {note.error_sentence_id}, expected -1")
    if any(not cells[column].strip() for column in _ERROR_COLUMNS):
        found.add(Repair.EMPTY_AS_NA)
    return note


def _error_note(cells: Mapping[str, str], note: Note, named_sentence: str, found: set[Repair]) -> Note:
    missing = [column for column in _ERROR_COLUMNS if cells[column].strip() in ("", NOT_APPLICABLE)]
    if missing:
        raise _RowError(f"Error Flag is 1, but {' and '.join(missing)} is {NOT_APPLICABLE} or empty")
    if note.error_sentence_id < 0:
        raise _RowError(f"Error Flag is 1, but Error Sentence ID is {note.error_sentence_id}")
    if not find_alike(cells["Error Sentence"].rstrip(END_MARKS), named_sentence):
        found.add(Repair.NOTICE_SENTENCE_ID)
    return replace(
        note,
        error_type=_error_type(cells["Error Type"], found),
        error_sentence=cells["Error Sentence"],
        corrected_sentence=cells["Corrected Sentence"],
        corrected_text=cells["Corrected Text"],
    )


def _integer(cells: Mapping[str, str], column: str, found: set[Repair]) -> int:
    cell = cells[column].strip()
    whole, _, zeros = cell.partition(".")
    # Long digit strings are refused too: int() takes quadratic time over them.
    if not whole.removeprefix("-").isdecimal() or zeros.strip("0") or len(whole) > 9:
        raise _RowError(f"{column} is {_shown(cell, 40)!r}, expected a number")
    if "." in cell:
        found.add(Repair.FLAG)
    return int(whole)


def _error_type(cell: str, found: set[Repair]) -> str:
    name = error_type_named(cell)
    if len(name) > MAX_TYPE_CHARACTERS or not name.isprintable():
        raise _RowError(f"Error Type is {_shown(cell.strip(), 40)!r}, expected a name of few words")
    if cell != name:
        found.add(Repair.ERROR_TYPE)
    return name


def _shown(text: str, limit: int) -> str:
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return shown if len(shown) <= limit else f"{shown[:limit]}..."
