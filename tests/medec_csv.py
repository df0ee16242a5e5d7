"""Small CSV files in MEDEC's columns for tests. The medical content is invented."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable
from pathlib import Path

from medical_team.data.medec import read_medec
from medical_team.data.reading_log import ReadingLog
from medical_team.data.tables import COLUMNS
from medical_team.records import Note

Row = dict[str, str]

COMPLAINTS = ("chest pain", "a painful knee", "blurred vision", "a dry cough", "night sweats", "an itching rash")


def an_error_row(number: int = 0, error_type: str = "pharmacotherapy", **changes: str) -> Row:
    """A note with an error in its second sentence. Notes of different numbers are no near-duplicates."""
    beginning = _beginning(number)
    error = f"Patient {number} is given 5000 mg of amoxicillin."
    right = f"Patient {number} is given 500 mg of amoxicillin."
    end = "A visit is planned next week."
    row = {
        "Text ID": f"ms-val-{2 * number}",
        "Text": f"{beginning} {error} {end}",
        "Sentences": f"0 {beginning}\n1 {error}\n2 {end}",
        "Error Flag": "1",
        "Error Type": error_type,
        "Error Sentence ID": "1",
        "Error Sentence": error,
        "Corrected Sentence": right,
        "Corrected Text": f"{beginning} {right} {end}",
    }
    return row | {name.replace("_", " "): value for name, value in changes.items()}


def a_correct_row(number: int = 0, **changes: str) -> Row:
    """The near-duplicate, without an error, of the error row with the same number."""
    beginning, end = _beginning(number), f"Patient {number} was given 500 mg of amoxicillin, and a visit is planned."
    row = {
        "Text ID": f"ms-val-{2 * number + 1}",
        "Text": f"{beginning} {end}",
        "Sentences": f"0 {beginning}\n1 {end}",
        "Error Flag": "0",
        "Error Type": "NA",
        "Error Sentence ID": "-1",
        "Error Sentence": "NA",
        "Corrected Sentence": "NA",
        "Corrected Text": "NA",
    }
    return row | {name.replace("_", " "): value for name, value in changes.items()}


def some_rows(cases: int) -> list[Row]:
    """Error rows of all types, each followed by its correct twin."""
    types = ("diagnosis", "management", "treatment", "pharmacotherapy", "causalOrganism")
    return [row for number in range(cases) for row in (an_error_row(number, types[number % 5]), a_correct_row(number))]


def csv_text(rows: Iterable[Row], columns: Iterable[str] = COLUMNS) -> str:
    """The rows as MEDEC writes them: records end in CRLF, what stands inside a field stays as it is."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def write_csv(path: Path, rows: Iterable[Row]) -> Path:
    """Write the rows to ``path``, and return it."""
    path.write_bytes(csv_text(rows).encode())
    return path


def read(path: Path) -> tuple[list[Note], ReadingLog]:
    """The notes of the file at ``path``, and what was told of it."""
    log = ReadingLog()
    return list(read_medec(path, log)), log


def _beginning(number: int) -> str:
    complaint = COMPLAINTS[number % len(COMPLAINTS)]
    # Made-up words that no other number has, so that only twins are alike.
    generator = random.Random(number)
    history = " ".join("".join(generator.choices("abcdefghij", k=6)) for _ in range(25))
    return f"A {20 + number % 60}-year-old comes with {complaint} after {history}."
