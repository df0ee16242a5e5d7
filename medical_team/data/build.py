"""From a MEDEC CSV to a data set: ``train.jsonl``, ``heldout.jsonl`` when asked for, and the data card.

The file is read once, row by row; cases wait on disk in a spool while their places are decided, so memory holds some
bytes a row whatever the size of the file. All files are whole before the first appears under its name.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import __version__
from ..error_types import WantedErrorTypes, in_order
from ..errors import DataError, UsageError
from ..files import file_sha256
from ..jsonl import shortened, to_line
from ..records import Source, TrainingRecord
from .card import CARD_FORMAT, INTENDED_USE, DataCard, licences
from .kinds import is_written_by_us
from .medec import ReadingLog, read_medec
from .output import CARD_FILE, CARD_PAGE, HELDOUT_FILE, TRAIN_FILE, BuiltDataSet, Spread, records_of, write_data_set
from .pairs import PairError, make_pair
from .split import CaseKey, choose_cases, four_way_split, hold_out
from .spool import Spool, open_spool
from .twins import NearDuplicateGroups, group_sizes

DEFAULT_SEED = 42


@dataclass
class _Cases:
    """The usable cases of a file: the pairs lie in the spool, by case number."""

    spool: Spool
    rows: array[int] = field(default_factory=lambda: array("q"))
    """The row of each case, counting the rows that were not refused."""
    group_of_row: array[int] = field(default_factory=lambda: array("q"))
    error_types: list[str] = field(default_factory=list[str])
    sources: set[Source] = field(default_factory=set[Source])
    correct_notes: int = 0


def build_data_set(
    csv_path: Path,
    output_dir: Path,
    num_samples: int | None = None,
    seed: int = DEFAULT_SEED,
    heldout: float | None = None,
    error_types: Sequence[str] = (),
    *,
    is_strict: bool = False,
) -> BuiltDataSet:
    """Build a data set from the MEDEC CSV at ``csv_path`` in the folder ``output_dir``.

    Args:
        csv_path: a file with MEDEC's nine columns.
        output_dir: made where it is missing. An earlier data set in it is replaced.
        num_samples: error cases to use, held-out ones included; all where there are fewer, or when None.
        seed: decides which cases are used, held out, vanilla, and the order of the records.
        heldout: the fraction of the cases, above 0 and below 1, that is held out by near-duplicate group; None: none.
        error_types: use cases of these types alone; empty: all.
        is_strict: refuse a row whose corrected text differs by more than the sentence, instead of mending it.

    Raises:
        DataError: the CSV can't be read, or no case of it can be used.
        UsageError: an argument is out of bounds, or ``output_dir`` holds a file of another kind under our names.
        OutputError: a file can't be written. Nothing half-written is left behind.
    """
    _check_arguments(csv_path, output_dir, num_samples, seed, heldout)
    log = ReadingLog()
    with open_spool() as pairs, open_spool() as texts:
        cases = _read_cases(csv_path, log, pairs, texts, is_strict)
        train, held = _choose(csv_path, cases, log, num_samples, seed, heldout, error_types)
        sets = {TRAIN_FILE: four_way_split(train, seed)}
        if heldout is not None:
            sets[HELDOUT_FILE] = four_way_split(held, seed)
        card = replace(
            _card_of_file(csv_path, cases, log),
            seed=seed,
            num_samples=num_samples,
            heldout_fraction=heldout,
            error_types=list(error_types),
            cases_used=len(train) + len(held),
        )
        return write_data_set(output_dir, sets, pairs, card)


def build_records(csv_path: Path, seed: int = DEFAULT_SEED) -> tuple[TrainingRecord, ...]:
    """The records that ``train.jsonl`` would hold, in memory, with nothing written and nothing held out.

    Raises:
        DataError: the CSV can't be read, or no case of it can be used.
    """
    log = ReadingLog()
    with open_spool() as pairs, open_spool() as texts:
        cases = _read_cases(csv_path, log, pairs, texts, False)
        train, _ = _choose(csv_path, cases, log, None, seed, None, ())
        return tuple(records_of(four_way_split(train, seed), pairs, Spread()))


def _check_arguments(
    csv_path: Path, output_dir: Path, num_samples: int | None, seed: int, heldout: float | None
) -> None:
    if num_samples is not None and num_samples < 1:
        raise UsageError(f"--num-samples is {num_samples}, expected at least 1 error case (or leave it out for all)")
    if seed < 0:
        raise UsageError(f"--seed is {seed}, expected 0 or more")
    if heldout is not None and not 0 < heldout < 1:
        raise UsageError(f"--heldout is {heldout}, expected a fraction above 0 and below 1, for example 0.1")
    if output_dir.exists() and not output_dir.is_dir():
        raise UsageError(f"{output_dir} is a file; -o names the folder that the data set goes into")
    for name in (TRAIN_FILE, HELDOUT_FILE, CARD_FILE, CARD_PAGE):
        path = output_dir / name
        if path.exists() and csv_path.exists() and path.samefile(csv_path):
            raise UsageError(f"{csv_path} would be overwritten by the data set; name another folder with -o")
    for name in (TRAIN_FILE, HELDOUT_FILE):
        path = output_dir / name
        if path.exists() and not is_written_by_us(path):
            raise UsageError(f"{path} is there and was not written by this program; move it, or name another folder")


def _read_cases(csv_path: Path, log: ReadingLog, pairs: Spool, texts: Spool, is_strict: bool) -> _Cases:
    cases = _Cases(pairs)
    twins = NearDuplicateGroups(texts)
    for note in read_medec(csv_path, log):
        if not note.has_error:
            twins.add(note)
            cases.correct_notes += 1
            continue
        try:
            pair = make_pair(note, "", log.repairs, is_strict=is_strict)
        except PairError as error:
            log.refuse(note.line, note.text_id, str(error))
            continue
        cases.rows.append(twins.add(note))
        cases.error_types.append(pair.error_type)
        cases.sources.add(pair.source)
        cases.spool.append(to_line(pair))
    cases.group_of_row = twins.groups()
    return cases


def _choose(
    csv_path: Path,
    cases: _Cases,
    log: ReadingLog,
    num_samples: int | None,
    seed: int,
    heldout: float | None,
    error_types: Sequence[str],
) -> tuple[list[CaseKey], list[CaseKey]]:
    """The cases to train on and to hold out."""
    wanted = WantedErrorTypes.of(error_types, cases.error_types)
    usable = [
        CaseKey(number, error_type, cases.group_of_row[cases.rows[number]])
        for number, error_type in enumerate(cases.error_types)
        if error_type in wanted
    ]
    if usable and wanted.unknown:
        there = ", ".join(in_order(cases.error_types))
        raise UsageError(f"--error-types asks for {', '.join(wanted.unknown)}; {csv_path} has {there}")
    if not usable:
        raise DataError(f"{csv_path} gives no case to play with:", _why_no_case(cases, log, error_types))
    chosen = choose_cases(usable, len(usable) if num_samples is None else num_samples, seed)
    if heldout is None:
        return chosen, []
    train, held = hold_out(chosen, heldout, seed)
    if not train or not held:
        raise UsageError(
            f"--heldout {heldout} of {len(chosen)} cases leaves {len(train)} to train on and {len(held)} held out; "
            "near-duplicates stay together, so choose another fraction or use more cases"
        )
    return train, held


def _why_no_case(cases: _Cases, log: ReadingLog, error_types: Sequence[str]) -> list[str]:
    reasons = [str(refusal) for refusal in log.refusals]
    if cases.error_types:
        there = ", ".join(in_order(cases.error_types))
        reasons.insert(0, f"--error-types asks for {', '.join(error_types)}; the file has {there}")
    else:
        reasons.insert(0, f"of {log.rows} rows, {cases.correct_notes} are correct notes and {log.refused} were refused")
    return shortened(reasons)


def _card_of_file(csv_path: Path, cases: _Cases, log: ReadingLog) -> DataCard:
    """The card with what is known of the source file; the rest is filled in by who knows it."""
    sizes = group_sizes(cases.group_of_row)
    return DataCard(
        format=CARD_FORMAT,
        version=__version__,
        source_file=csv_path.name,
        source_sha256=file_sha256(csv_path),
        sources=[source.value for source in sorted(cases.sources)],
        licence=licences(cases.sources),
        intended_use=INTENDED_USE,
        seed=DEFAULT_SEED,
        num_samples=None,
        heldout_fraction=None,
        error_types=[],
        rows=log.rows,
        blank_rows=log.blank_rows,
        correct_notes=cases.correct_notes,
        error_cases=len(cases.error_types),
        cases_used=0,
        near_duplicate_groups=sum(size > 0 for size in sizes),
        largest_near_duplicate_group=max(sizes, default=0),
        sets=[],
        note_words=None,
        edit_words=None,
        repairs={repair.value: log.repairs[repair] for repair in sorted(log.repairs)},
        refused=log.refused,
        refusals=[str(refusal) for refusal in log.refusals],
    )
