"""From files in MEDEC's columns to a data set: ``train.jsonl``, ``heldout.jsonl`` when asked for, and the card,
all of them whole before the first has its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from .. import __version__
from ..error_types import error_type_key, in_order
from ..errors import UsageError
from ..files import atomic_text, file_sha256, one_at_a_time
from ..jsonl import to_line
from ..records import DataType, ErrorType, TrainingRecord
from ..sentences import moved_starts
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
from .cases import Seat, choose, conditions_of, four_way_split, read_cases
from .formats import is_written_by_us

TRAIN_FILE = "train.jsonl"
HELDOUT_FILE = "heldout.jsonl"
CARD_FILE = "data_card.json"
CARD_PAGE = "data_card.md"

DEFAULT_SEED = 42


@dataclass(frozen=True)
class BuiltDataSet:
    """What was written."""

    folder: Path
    card: DataCard
    stale_heldout_removed: bool
    """Whether an earlier build's held-out file was removed, some of whose cases may now be trained on."""


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
    _check_arguments(paths, output_dir, num_samples, seed, heldout, error_types)
    conditions_of(where)
    cases = read_cases(paths, is_strict=is_strict)
    train, held = choose(cases, num_samples, seed, heldout, error_types, where)
    sets = {TRAIN_FILE: _records(four_way_split(train, seed))}
    if heldout is not None:
        sets[HELDOUT_FILE] = _records(four_way_split(held, seed))
    records = [record for own in sets.values() for record in own]
    card = DataCard(
        format=CARD_FORMAT,
        version=__version__,
        files=[
            SourceFile(
                name=file.path.name,
                sha256=file_sha256(file.path),
                rows=file.log.rows,
                error_cases=file.error_cases,
                correct_notes=file.correct_notes,
                refused=file.log.refused,
                remarks=list(file.log.remarks),
            )
            for file in cases.files
        ],
        sources=sorted({case.pair.source.value for case in cases.cases}),
        licence=licences(case.pair.source for case in cases.cases),
        intended_use=INTENDED_USE,
        seed=seed,
        num_samples=num_samples,
        heldout_fraction=heldout,
        error_types=list(error_types),
        where=list(where),
        rows=cases.total("rows"),
        blank_rows=cases.total("blank_rows"),
        correct_notes=sum(file.correct_notes for file in cases.files),
        error_cases=len(cases.cases),
        cases_used=len(train) + len(held),
        near_duplicate_groups=len(cases.group_sizes),
        largest_near_duplicate_group=max(cases.group_sizes.values(), default=0),
        sets=[_counts(name, own) for name, own in sets.items()],
        note_words=quantiles(count_words(record.note) for record in records),
        edit_words=quantiles(
            Levenshtein.distance(words_of(record.error_sentence), words_of(record.corrected_sentence))
            for record in records
            if record.data_type.is_harmful
        ),
        repairs={repair.value: count for repair, count in sorted(cases.repairs().items())},
        refused=cases.total("refused"),
        refused_for=[reason for file in cases.files for reason in file.log.reasons()],
        refusals=cases.refusals(),
    )
    return BuiltDataSet(output_dir, card, _write(output_dir, sets, card))


def build_records(path: Path, seed: int = DEFAULT_SEED) -> tuple[TrainingRecord, ...]:
    """The records that ``train.jsonl`` would hold, with nothing written and nothing held out.

    Raises:
        DataError: the file can't be read, or no case of it can be used.
    """
    train, _ = choose(read_cases([path]), None, seed, None)
    return tuple(_records(four_way_split(train, seed)))


def _write(output_dir: Path, sets: Mapping[str, Sequence[TrainingRecord]], card: DataCard) -> bool:
    """Write all files, or none. Returns whether the held-out file of an earlier build was removed."""
    stale = output_dir / HELDOUT_FILE
    with ExitStack() as stack:
        stack.enter_context(one_at_a_time(output_dir))
        is_stale = HELDOUT_FILE not in sets and stale.exists()
        files = {
            name: stack.enter_context(atomic_text(output_dir / name)) for name in (CARD_PAGE, CARD_FILE, *sorted(sets))
        }
        for name, own in sets.items():
            files[name].writelines(f"{to_line(record)}\n" for record in own)
        files[CARD_FILE].write(card_as_json(card))
        files[CARD_PAGE].write(card_as_markdown(card))
        # A full disk shows here, while no file has its name yet.
        for file in files.values():
            file.flush()
        if is_stale:
            stale.unlink()
    return is_stale


def _records(seats: Sequence[Seat]) -> list[TrainingRecord]:
    records: list[TrainingRecord] = []
    for seat in seats:
        record = TrainingRecord.of(seat.case.pair, seat.data_type, seat.case.metadata)
        starts = moved_starts(seat.case.sentence_starts, record.error_note, record.note)
        records.append(replace(record, sentence_starts=starts))
    return records


def _counts(name: str, records: Sequence[TrainingRecord]) -> SetCounts:
    types = in_order([*(kind.value for kind in ErrorType), *(record.error_type for record in records)])
    by_both = Counter((error_type_key(record.error_type), record.data_type) for record in records)
    return SetCounts(
        file=name,
        cases=len({record.case_id for record in records}),
        records=len(records),
        near_duplicate_groups=len({record.near_duplicate_group for record in records}),
        by_data_type={kind.value: sum(record.data_type is kind for record in records) for kind in DataType},
        by_error_type={
            name: {data_type.value: by_both[error_type_key(name), data_type] for data_type in DataType}
            for name in types
        },
    )


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
    first_of: dict[str, Path] = {}
    for path in paths:
        if path.is_file():
            digest = file_sha256(path)
            if digest in first_of:
                raise UsageError(f"{path} holds the same as {first_of[digest]}; name each file once")
            first_of[digest] = path
    sources = [path.resolve() for path in paths]
    for name in (TRAIN_FILE, HELDOUT_FILE, CARD_FILE, CARD_PAGE):
        path = output_dir / name
        if path.resolve() in sources:
            raise UsageError(f"{path} would be overwritten by the data set; name another folder with -o")
        if name in (TRAIN_FILE, HELDOUT_FILE) and path.exists() and not is_written_by_us(path):
            raise UsageError(f"{path} is there and was not written by this program; move it, or name another folder")
