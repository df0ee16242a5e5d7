"""From files in MEDEC's columns to a data set: ``train.jsonl``, ``heldout.jsonl`` when asked for, and the data card.

Each file is read once, row by row; cases wait on disk in a spool while their places are decided, so memory holds some
bytes a row whatever the size of the files. All files are whole before the first appears under its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .. import __version__
from ..errors import UsageError
from ..files import file_sha256
from ..records import TrainingRecord
from .card import CARD_FORMAT, INTENDED_USE, DataCard, SourceFile, licences
from .cases import Cases, FileCases, choose, read_cases
from .kinds import is_written_by_us
from .metadata_filter import MetadataFilter
from .output import CARD_FILE, CARD_PAGE, HELDOUT_FILE, TRAIN_FILE, BuiltDataSet, Spread, records_of, write_data_set
from .split import four_way_split
from .spool import open_spool
from .twins import group_sizes

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
