"""Writing a data set: the record files and the card, all of them whole before the first has its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from rapidfuzz.distance import Levenshtein

from ..error_types import error_type_key, in_order
from ..files import atomic_text, cannot_write, one_at_a_time
from ..jsonl import from_line, to_line
from ..records import DataType, ErrorType, TrainingRecord
from ..sentence_edits import moved_starts
from ..words import count_words, words_of
from .card import DataCard, SetCounts, card_as_json, card_as_markdown, quantiles
from .cases import StoredCase
from .split import Seat
from .spool import Spool

TRAIN_FILE = "train.jsonl"
HELDOUT_FILE = "heldout.jsonl"
CARD_FILE = "data_card.json"
CARD_PAGE = "data_card.md"


@dataclass(frozen=True)
class BuiltDataSet:
    """What was written."""

    folder: Path
    card: DataCard
    stale_heldout_removed: bool
    """Whether an earlier build's held-out file was removed, some of whose cases may now be trained on."""


@dataclass
class Spread:
    """Lengths, counted as the records are written."""

    note_words: Counter[int] = field(default_factory=Counter[int])
    edit_words: Counter[int] = field(default_factory=Counter[int])


def write_data_set(output_dir: Path, sets: Mapping[str, Sequence[Seat]], pairs: Spool, card: DataCard) -> BuiltDataSet:
    """Write each of ``sets``, by file name, and ``card``, completed with what the records show, to ``output_dir``.

    ``pairs`` holds each :class:`.cases.StoredCase` as a line of JSON, by case number.

    Raises:
        OutputError: a file can't be written. Nothing half-written is left behind.
    """
    spread = Spread()
    stale = output_dir / HELDOUT_FILE
    with ExitStack() as stack:
        stack.enter_context(one_at_a_time(output_dir))
        is_stale = HELDOUT_FILE not in sets and stale.exists()
        files: dict[Path, IO[str]] = {}
        for name in (CARD_PAGE, CARD_FILE, *reversed(list(sets))):
            path = output_dir / name
            files[path] = stack.enter_context(atomic_text(path))
        for name, seats in sets.items():
            _write_records(output_dir / name, files[output_dir / name], records_of(seats, pairs, spread))
        card = replace(
            card,
            sets=[_counts(name, seats) for name, seats in sets.items()],
            note_words=quantiles(spread.note_words),
            edit_words=quantiles(spread.edit_words),
        )
        files[output_dir / CARD_FILE].write(card_as_json(card))
        files[output_dir / CARD_PAGE].write(card_as_markdown(card))
        # A full disk shows here, while no file has its name yet.
        for path, file in files.items():
            _flush(path, file)
        if is_stale:
            _remove(stale)
    return BuiltDataSet(output_dir, card, is_stale)


def records_of(seats: Sequence[Seat], pairs: Spool, spread: Spread) -> Iterator[TrainingRecord]:
    """The record for each of ``seats``, in order; ``spread`` counts their lengths."""
    for seat in seats:
        case = from_line(pairs[seat.case.number], StoredCase)
        pair = replace(case.pair, near_duplicate_group=f"twins-{seat.case.group}")
        record = TrainingRecord.of(pair, seat.data_type, case.metadata)
        starts = moved_starts(case.sentence_starts, pair.error_note, record.note)
        record = replace(record, sentence_starts=starts)
        spread.note_words[count_words(record.note)] += 1
        if seat.data_type.is_harmful:
            words = Levenshtein.distance(words_of(pair.error_sentence), words_of(pair.corrected_sentence))
            spread.edit_words[words] += 1
        yield record


def _write_records(path: Path, file: IO[str], records: Iterator[TrainingRecord]) -> None:
    for record in records:
        line = to_line(record) + "\n"
        try:
            file.write(line)
        except OSError as error:
            raise cannot_write(path, error) from error


def _flush(path: Path, file: IO[str]) -> None:
    try:
        file.flush()
    except OSError as error:
        raise cannot_write(path, error) from error


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise cannot_write(path, error) from error


def _counts(name: str, seats: Sequence[Seat]) -> SetCounts:
    types = in_order([*(kind.value for kind in ErrorType), *(seat.case.error_type for seat in seats)])
    by_both = Counter((error_type_key(seat.case.error_type), seat.data_type) for seat in seats)
    return SetCounts(
        file=name,
        cases=len({seat.case.number for seat in seats}),
        records=len(seats),
        near_duplicate_groups=len({seat.case.group for seat in seats}),
        by_data_type={kind.value: sum(seat.data_type is kind for seat in seats) for kind in DataType},
        by_error_type={
            name: {data_type.value: by_both[error_type_key(name), data_type] for data_type in DataType}
            for name in types
        },
    )
