"""Reading training records back, with checks of what they mean as well as of their types, and converting them to a
training engine's own format."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..config import DEMO_DATA, DEMO_HELDOUT_DATA, SAMPLE_DATA, RunConfig
from ..error_types import WantedErrorTypes, in_order
from ..errors import DataError, UsageError
from ..files import is_stream
from ..jsonl import from_line, numbered_lines, shortened, validation_problems, write_jsonl
from ..records import TrainingRecord
from ..terminal_text import shell_word
from ..words import fold_white_space
from .build import DEFAULT_SEED, build_records
from .formats import TRAINING_RECORDS, EngineFormat, check_format, is_written_by_us, kind_of_file, rows_of
from .synthetic.demo_world import UNSEEN_GROUP, heldout_records, played_records
from .tables import PARQUET_MARK

_FILLED = (
    "id",
    "case_id",
    "near_duplicate_group",
    "note",
    "error_note",
    "corrected_note",
    "error_sentence",
    "corrected_sentence",
)


class RecordChecks:
    """Checks records one after the other; what was seen before counts too. Keeps some bytes a record."""

    def __init__(self) -> None:
        self._line_of_id: dict[str, int] = {}
        self._case: dict[str, tuple[int, int]] = {}

    def problems(self, record: TrainingRecord, line: int) -> list[str]:
        """What is wrong with the record on ``line``, as sentences."""
        found = _problems_alone(record)
        first = self._line_of_id.setdefault(record.id, line)
        if first != line:
            found.append(f"id: {record.id!r} is already on line {first}")
        fingerprint = hash(record.pair)
        case_line, case_fingerprint = self._case.setdefault(record.case_id, (line, fingerprint))
        if case_fingerprint != fingerprint:
            found.append(f"case_id: {record.case_id!r} is another case on line {case_line}: their pairs differ")
        return found


def shared_near_duplicate_groups(train: Iterable[TrainingRecord], heldout: Iterable[TrainingRecord]) -> list[str]:
    """Near-duplicate groups in both sets, sorted: evaluation on them leaks. Their names hold within one build."""
    groups = {record.near_duplicate_group for record in train}
    return sorted({record.near_duplicate_group for record in heldout} & groups)


def _problems_alone(record: TrainingRecord) -> list[str]:
    if empty := [f"{name}: is empty" for name in _FILLED if not str(getattr(record, name)).strip()]:
        return empty
    expected = "error_note" if record.data_type.is_harmful else "corrected_note"
    starts = record.sentence_starts
    are_places = list(starts) == sorted(set(starts)) and all(0 <= start < len(record.note) for start in starts)
    is_right = {
        f"note: is not the {expected}, as data_type {record.data_type.value} says": (
            record.note == getattr(record, expected)
        ),
        "sentence_starts: are not places in the note, in rising order": are_places,
        "error_note: is the same as corrected_note": (
            fold_white_space(record.error_note) != fold_white_space(record.corrected_note)
        ),
        "error_sentence: does not occur in error_note": record.error_sentence in record.error_note,
        "corrected_sentence: does not occur in corrected_note": record.corrected_sentence in record.corrected_note,
    }
    return [problem for problem, holds in is_right.items() if not holds]


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
    ours = {SAMPLE_DATA: sample_records, DEMO_DATA: _demo_records, DEMO_HELDOUT_DATA: _demo_heldout_records}
    records = ours[name]() if name in ours else _read_records(Path(name))
    return chosen_records(name, records, error_types, is_strict=True)


def load_sets(config: RunConfig) -> tuple[tuple[TrainingRecord, ...], tuple[TrainingRecord, ...]]:
    """The records that a run trains on, and those that it evaluates on, of the error types that it plays.

    Raises:
        DataError: as :func:`load_records`. The held-out set may lack some of the types.
        UsageError: both sets hold notes of one near-duplicate group, so that an evaluation would leak.
    """
    error_types = config.game.error_types
    records = load_records(config.data.train, error_types)
    if config.data.heldout is None:
        return records, ()
    every = load_records(config.data.heldout)
    heldout = chosen_records(config.data.heldout, every, error_types, is_strict=False)
    if shared := shared_near_duplicate_groups(records, heldout):
        raise UsageError(
            f"{len(shared)} near-duplicate groups are in the training data and in the held-out data "
            f"(for example {shared[0]}): held-out figures would be worthless. "
            "Split one file with `data build --heldout`."
        )
    return records, heldout


def chosen_records(
    name: str, records: tuple[TrainingRecord, ...], error_types: Sequence[str], *, is_strict: bool
) -> tuple[TrainingRecord, ...]:
    """Those of the ``records`` of the file ``name`` that have one of ``error_types``.

    Raises:
        DataError: none has one; or, where ``is_strict``, a type is neither MEDEC's nor there.
    """
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


def _demo_records() -> tuple[TrainingRecord, ...]:
    return tuple(played_records(_DEMO_CASES, DEFAULT_SEED))


def _demo_heldout_records() -> tuple[TrainingRecord, ...]:
    """Without the conditions that the demo policy can't read."""
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
        problem = (
            f"it holds notes; run `medical-team data build {shell_word(path)} -o data`, then name data/train.jsonl"
        )
        raise DataError(headline, [problem])
    raise DataError(
        headline, [f"no line is one; the first is line {first[0]}. Make a file with `medical-team data build`"]
    )


def convert_records(source: str, output: Path, engine: EngineFormat, *, all_vanilla: bool = False) -> int:
    """Write the training records of ``source`` to ``output`` in the format of ``engine``. Returns their number.

    Raises:
        DataError: ``source`` holds no training records, or wrong ones.
        UsageError: ``output`` is ``source``, a folder, or a file of another kind.
        OutputError: ``output`` can't be written.
    """
    if all_vanilla and engine != "red-team-fork":
        raise UsageError(
            "--all-vanilla is for red-team-fork, which relabels rows; upstream OpenRLHF plays them as written"
        )
    records = load_records(source)
    if output.is_dir():
        raise UsageError(f"{output} is a folder; name the file to write, for example {output / 'train.jsonl'}")
    if output.exists() and Path(source).exists() and output.samefile(source):
        raise UsageError(f"{output} is the file to convert; name another file to write")
    if output.exists() and not is_stream(output) and not is_written_by_us(output):
        raise UsageError(f"{output} is there and was not written by this program; move it, or name another file")
    return write_jsonl(output, rows_of(records, engine, all_vanilla=all_vanilla))
