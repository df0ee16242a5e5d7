"""From files in MEDEC's columns to a data set: ``train.jsonl``, ``heldout.jsonl`` when asked for, and the card,
all of them whole before the first has its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from rapidfuzz.distance import Levenshtein

from .. import __version__
from ..error_types import error_type_key, in_order
from ..errors import UsageError
from ..files import atomic_text, cannot_write, file_sha256, one_at_a_time
from ..jsonl import from_line, to_line
from ..records import DataType, ErrorType, TrainingRecord
from ..sentence_edits import moved_starts
from ..words import count_words, words_of
from .card import (
    CARD_FORMAT,
    INTENDED_USE,
    DataCard,
    SetCounts,
    SourceFile,
    card_as_json,
    card_as_markdown,
    licences,
    quantiles,
)
from .cases import Cases, FileCases, MetadataFilter, Seat, StoredCase, choose, four_way_split, read_cases
from .formats import is_written_by_us
from .twins import Spool, group_sizes, open_spool

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


DEFAULT_SEED = 42


def build_data_set(
    files: Path | Sequence[Path],
    output_dir: Path,
    num_samples: int | None = None,
    seed: int = DEFAULT_SEED,
    heldout: float | None = None,
    error_types: Sequence[str] = (),
    where: Sequence[str] = (),
    *,
    is_strict: bool = False,
) -> BuiltDataSet:
    """Build a data set from the notes in ``files`` in the folder ``output_dir``.

    Args:
        files: a file in MEDEC's columns, or several: CSV, JSON lines or Parquet.
        output_dir: made where it is missing. An earlier data set in it is replaced.
        num_samples: error cases to use, held-out ones included; all where there are fewer, or when None.
        seed: decides which cases are used, held out, vanilla, and the order of the records.
        heldout: the fraction of the cases, above 0 and below 1, that is held out by near-duplicate group; None: none.
        error_types: use cases of these types alone; empty: all.
        where: use cases alone of which the file says so, as ``COLUMN=VALUE``; empty: all.
        is_strict: refuse a row whose corrected text differs by more than the sentence, instead of mending it.

    Raises:
        DataError: a file can't be read, or no case can be used.
        UsageError: an argument is out of bounds, or ``output_dir`` holds a file of another kind under our names.
        OutputError: a file can't be written. Nothing half-written is left behind.
    """
    paths = [files] if isinstance(files, Path) else list(files)
    wanted = MetadataFilter(where)
    _check_arguments(paths, output_dir, num_samples, seed, heldout, error_types)
    with open_spool() as pairs, open_spool() as texts:
        cases = read_cases(paths, pairs, texts, wanted, is_strict=is_strict)
        train, held = choose(cases, num_samples, seed, heldout, error_types)
        sets = {TRAIN_FILE: four_way_split(train, seed)}
        if heldout is not None:
            sets[HELDOUT_FILE] = four_way_split(held, seed)
        card = replace(
            _card_of_files(cases),
            seed=seed,
            num_samples=num_samples,
            heldout_fraction=heldout,
            error_types=list(error_types),
            where=list(where),
            cases_used=len(train) + len(held),
        )
        return write_data_set(output_dir, sets, pairs, card)


def build_records(path: Path, seed: int = DEFAULT_SEED) -> tuple[TrainingRecord, ...]:
    """The records that ``train.jsonl`` would hold, in memory, with nothing written and nothing held out.

    Raises:
        DataError: the file can't be read, or no case of it can be used.
    """
    with open_spool() as pairs, open_spool() as texts:
        cases = read_cases([path], pairs, texts, MetadataFilter(), is_strict=False)
        train, _ = choose(cases, None, seed, None, ())
        return tuple(records_of(four_way_split(train, seed), pairs, Spread()))


def _check_arguments(
    paths: Sequence[Path],
    output_dir: Path,
    num_samples: int | None,
    seed: int,
    heldout: float | None,
    error_types: Sequence[str],
) -> None:
    if not paths:
        raise UsageError("no file is named; name the files to build from")
    if num_samples is not None and num_samples < 1:
        raise UsageError(f"--num-samples is {num_samples}, expected at least 1 error case (or leave it out for all)")
    if seed < 0:
        raise UsageError(f"--seed is {seed}, expected 0 or more")
    if heldout is not None and not 0 < heldout < 1:
        raise UsageError(f"--heldout is {heldout}, expected a fraction above 0 and below 1, for example 0.1")
    if not all(name.strip() for name in error_types):
        raise UsageError("--error-types holds an empty name; leave the option out for all types")
    if output_dir.exists() and not output_dir.is_dir():
        raise UsageError(f"{output_dir} is a file; -o names the folder that the data set goes into")
    _check_each_is_another(paths)
    for name in (TRAIN_FILE, HELDOUT_FILE, CARD_FILE, CARD_PAGE):
        path = output_dir / name
        for source in paths:
            if path.exists() and source.exists() and path.samefile(source):
                raise UsageError(f"{source} would be overwritten by the data set; name another folder with -o")
    for name in (TRAIN_FILE, HELDOUT_FILE):
        path = output_dir / name
        if path.exists() and not is_written_by_us(path):
            raise UsageError(f"{path} is there and was not written by this program; move it, or name another folder")


def _check_each_is_another(paths: Sequence[Path]) -> None:
    """Raises UsageError where two of the files are one or hold the same, whose cases would each be there twice."""
    first_of: dict[str, Path] = {}
    sizes = Counter(path.stat().st_size for path in paths if path.is_file())
    for path in paths:
        if path.is_file() and sizes[path.stat().st_size] > 1:
            digest = file_sha256(path)
            if digest in first_of:
                raise UsageError(f"{path} holds the same as {first_of[digest]}; name each file once")
            first_of[digest] = path


def _card_of_files(cases: Cases) -> DataCard:
    """The card with what is known of the source files; the rest is filled in by who knows it."""
    sizes = group_sizes(cases.group_of_row)
    repairs = cases.repairs()
    return DataCard(
        format=CARD_FORMAT,
        version=__version__,
        files=[_card_of_file(file) for file in cases.files],
        sources=[source.value for source in sorted(cases.sources)],
        licence=licences(cases.sources),
        intended_use=INTENDED_USE,
        seed=DEFAULT_SEED,
        num_samples=None,
        heldout_fraction=None,
        error_types=[],
        where=[],
        rows=cases.total("rows"),
        blank_rows=cases.total("blank_rows"),
        correct_notes=sum(file.correct_notes for file in cases.files),
        error_cases=len(cases.error_types),
        cases_used=0,
        near_duplicate_groups=sum(size > 0 for size in sizes),
        largest_near_duplicate_group=max(sizes, default=0),
        sets=[],
        note_words=None,
        edit_words=None,
        repairs={repair.value: repairs[repair] for repair in sorted(repairs)},
        refused=cases.total("refused"),
        refused_for=[str(group) for file in cases.files for group in file.log.reasons()],
        refusals=cases.refusals(),
    )


def _card_of_file(file: FileCases) -> SourceFile:
    return SourceFile(
        name=file.path.name,
        sha256=file_sha256(file.path),
        rows=file.log.rows,
        error_cases=file.error_cases,
        correct_notes=file.correct_notes,
        refused=file.log.refused,
        remarks=list(file.log.remarks),
    )
