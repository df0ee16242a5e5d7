"""Reading training records back, with checks of what they mean as well as of their types."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ..config import DEMO_DATA, DEMO_HELDOUT_DATA, SAMPLE_DATA, RunConfig
from ..error_types import WantedErrorTypes, in_order
from ..errors import DataError
from ..jsonl import from_line, numbered_lines, shortened, validation_problems
from ..records import TrainingRecord
from .build import DEFAULT_SEED, build_records
from .checks import RecordChecks
from .foreign_format import check_format
from .kinds import TRAINING_RECORDS, kind_of_file
from .object_table import PARQUET_MARK
from .synthetic.demo_world import UNSEEN_GROUP, heldout_records, played_records

_DEMO_CASES = 2000
_DEMO_HELDOUT_CASES = 24
_DEMO_HELDOUT_SEED = 7

SAMPLE_FILE = "sample/synthetic_notes.csv"


def load_records(name: str, error_types: Sequence[str] = ()) -> tuple[TrainingRecord, ...]:
    """The training records of a file, in its order.

    Args:
        name: a JSONL file that ``data build`` wrote, ``"sample"`` for the synthetic notes that ship, or ``"demo"`` for
            those that the demo policy can read, and ``"demo-heldout"`` for such notes to evaluate on.
        error_types: keep records of these types alone, by any of their names; empty: all.

    Raises:
        DataError: the file can't be read, holds something else, contradicts itself (all problems are named, with their
            lines), or no record is left.
    """
    ours = {SAMPLE_DATA: sample_records, DEMO_DATA: demo_records, DEMO_HELDOUT_DATA: demo_heldout_records}
    records = ours[name]() if name in ours else _read_records(Path(name))
    return _chosen(name, records, error_types, is_strict=True)


def load_sets(config: RunConfig) -> tuple[tuple[TrainingRecord, ...], tuple[TrainingRecord, ...]]:
    """The records that a run trains on, and those that it evaluates on, of the error types that it plays.

    Raises:
        DataError: as :func:`load_records`. The held-out set may lack some of the types.
    """
    error_types = config.game.error_types
    records = load_records(config.data.train, error_types)
    if config.data.heldout is None:
        return records, ()
    heldout = load_records(config.data.heldout)
    return records, _chosen(config.data.heldout, heldout, error_types, is_strict=False)


def _chosen(
    name: str, records: tuple[TrainingRecord, ...], error_types: Sequence[str], *, is_strict: bool
) -> tuple[TrainingRecord, ...]:
    """Those of ``error_types``; where ``is_strict`` each name must be MEDEC's or there."""
    wanted = WantedErrorTypes.of(error_types, (record.error_type for record in records))
    kept = tuple(record for record in records if record.error_type in wanted)
    if kept and not (is_strict and wanted.unknown):
        return kept
    asked = ", ".join(wanted.unknown or error_types)
    there = ", ".join(in_order(record.error_type for record in records))
    raise DataError(
        f"{name} has no record left to play with:" if not kept else f"{name} lacks a type that is asked for:",
        [f"error_types asks for {asked}; it has {there}"],
    )


def sample_records() -> tuple[TrainingRecord, ...]:
    """The records of the synthetic notes that ship with the package. The same each time.

    Raises:
        DataError: the sample file is missing or broken.
    """
    resource = importlib.resources.files(__package__ or __name__).joinpath(SAMPLE_FILE)
    with importlib.resources.as_file(resource) as path:
        return build_records(path, DEFAULT_SEED)


def demo_records() -> tuple[TrainingRecord, ...]:
    """Records of the demo policy's small world. The same each time."""
    return tuple(played_records(_DEMO_CASES, DEFAULT_SEED))


def demo_heldout_records() -> tuple[TrainingRecord, ...]:
    """Held-out records of the demo policy's small world, without the conditions that it can't read."""
    groups = heldout_records(_DEMO_HELDOUT_CASES, _DEMO_HELDOUT_SEED)
    return tuple(record for group, records in groups.items() if group != UNSEEN_GROUP for record in records)


def _read_records(path: Path) -> tuple[TrainingRecord, ...]:
    _check_kind(path)
    checks = RecordChecks()
    records: list[TrainingRecord] = []
    problems: list[str] = []
    for number, line in numbered_lines(path):
        try:
            record = from_line(line, TrainingRecord)
        except ValidationError as error:
            problems.extend(f"line {number}: {problem}" for problem in validation_problems(error))
            continue
        problems.extend(f"line {number}: {problem}" for problem in checks.problems(record, number))
        records.append(record)
    if problems:
        raise DataError(f"{path} can't be played with:", shortened(problems))
    return tuple(records)


def _check_kind(path: Path) -> None:
    if path.is_dir():
        raise DataError(
            f"{path} can't be read:", [f"it is a folder; name the JSONL in it, e.g. {path / 'train.jsonl'}"]
        )
    check_format(path)
    kind = kind_of_file(path)
    if kind is TRAINING_RECORDS:
        return
    headline = f"{path} holds no training records:"
    if kind is not None:
        raise DataError(headline, [f"it holds {kind.name}; name the train.jsonl that `data build` wrote"])
    first = next(iter(numbered_lines(path)), None)
    if first is None:
        raise DataError(headline, ["the file is empty; make one with `medical-team data build CSV -o DIR`"])
    if path.suffix.lower() == ".csv" or b"Text ID" in first[1] or first[1].startswith(PARQUET_MARK):
        problem = f"it holds notes; run `medical-team data build {path} -o data`, then name data/train.jsonl"
        raise DataError(headline, [problem])
    raise DataError(
        headline, [f"no line is one; the first is line {first[0]}. Make a file with `medical-team data build`"]
    )
