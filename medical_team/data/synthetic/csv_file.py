"""Writing synthetic notes as a CSV file with MEDEC's columns and conventions."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError
from ...files import atomic_text
from ...records import ErrorType
from ..medec import NOT_APPLICABLE
from ..pairs import SYNTHETIC_PREFIX
from ..tables import COLUMNS
from .cases import RARE_SHARE, SyntheticCase, synthetic_cases
from .language import Sentence, render_sentence
from .table import Sex


@dataclass(frozen=True)
class SyntheticCounts:
    """What a file of synthetic notes holds."""

    notes: int
    errors: int
    rare_errors: int
    error_types: Mapping[ErrorType, int]
    conditions: Mapping[str, int]
    """Error cases of each condition."""


def write_synthetic_csv(
    path: Path,
    notes: int,
    seed: int,
    *,
    conditions: Sequence[str] | None = None,
    rare_share: float = RARE_SHARE,
) -> SyntheticCounts:
    """Write ``notes`` rows to ``path``, which appears only when all are written.

    A note with an error is followed by its twin, the note without it; an odd number ends with a note with an error. The
    same arguments give the same bytes. Memory doesn't grow with the number of notes.

    Args:
        path: the CSV file.
        notes: how many rows, at least 1.
        seed: what the notes are drawn from.
        conditions: names of the only conditions to write about; None: all of the table.
        rare_share: the share of errors that are not the common confusion, from 0 to 1.

    Raises:
        UsageError: the number of notes or the share is out of bounds.
        DataError: the table does not have one of the conditions.
        OutputError: the file can't be written.
    """
    if notes < 1:
        raise UsageError(f"{notes} synthetic notes are wanted, expected at least 1")
    cases = synthetic_cases((notes + 1) // 2, seed, conditions=conditions, rare_share=rare_share)
    error_types: Counter[ErrorType] = Counter()
    names: Counter[str] = Counter()
    rare_errors = 0
    with atomic_text(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for case in cases:
            writer.writerows(_rows(case, notes))
            error_types[case.error_type] += 1
            names[case.condition] += 1
            rare_errors += case.is_rare
    return SyntheticCounts(
        notes=notes,
        errors=error_types.total(),
        rare_errors=rare_errors,
        error_types=dict(sorted(error_types.items())),
        conditions=dict(sorted(names.items())),
    )


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
