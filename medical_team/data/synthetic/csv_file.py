"""Writing synthetic notes as a CSV file with MEDEC's columns and conventions."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import UsageError
from ...files import atomic_text
from ..medec import NOT_APPLICABLE
from ..pairs import SYNTHETIC_PREFIX
from ..tables import COLUMNS
from .cases import SyntheticCase, synthetic_cases
from .language import Sentence, render_sentence
from .table import Sex


def write_synthetic_csv(path: Path, notes: int, seed: int) -> None:
    """Write ``notes`` rows to ``path``, which appears only when all are written.

    A note with an error is followed by its twin, the note without it; an odd number ends with a note with an error. The
    same arguments give the same bytes. Memory doesn't grow with the number of notes.

    Args:
        path: the CSV file.
        notes: how many rows, at least 1.
        seed: what the notes are drawn from.

    Raises:
        UsageError: the number of notes is out of bounds.
        OutputError: the file can't be written.
    """
    if notes < 1:
        raise UsageError(f"{notes} synthetic notes are wanted, expected at least 1")
    cases = synthetic_cases((notes + 1) // 2, seed)
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for case in cases:
            writer.writerows(_rows(case, notes))


def _rows(case: SyntheticCase, notes: int) -> Iterator[tuple[str, ...]]:
    number = 2 * case.number
    yield (
        f"{SYNTHETIC_PREFIX}{number:06d}",
        case.error_note,
        _numbered(case.error_sentences, case.sex),
        "1",
        case.error_type.value,
        str(case.error_index),
        case.error_sentence,
        case.corrected_sentence,
        case.corrected_note,
    )
    if number + 1 < notes:
        yield (
            f"{SYNTHETIC_PREFIX}{number + 1:06d}",
            case.corrected_note,
            _numbered(case.corrected_sentences, case.sex),
            "0",
            NOT_APPLICABLE,
            "-1",
            NOT_APPLICABLE,
            NOT_APPLICABLE,
            NOT_APPLICABLE,
        )


def _numbered(sentences: Sequence[Sentence], sex: Sex) -> str:
    return "\n".join(f"{number} {render_sentence(sentence, sex)}" for number, sentence in enumerate(sentences))
