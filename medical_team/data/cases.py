"""The usable cases of one or several files: read once, put aside on disk, chosen by what the file says of them
beside MEDEC's columns, held out or given the category that they play."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..error_types import WantedErrorTypes, error_type_key, in_order
from ..errors import DataError, UsageError
from ..jsonl import shortened, to_line
from ..records import OMITTED_IF_EMPTY, Closed, DataType, Note, NotePair, Source
from ..seeds import derived_random
from .medec import read_medec
from .pairs import PairError, make_pair
from .reading_log import ReadingLog, Repair
from .tables import column_key
from .twins import NearDuplicateGroups, Spool

MAX_VALUES_SHOWN = 12
_VALUES_REMEMBERED = 100


class MetadataFilter:
    """What is wanted of the metadata, as ``COLUMN=VALUE``: one of the values of each column that is named.

    Columns are found by their letters and digits, values whatever their case, spaces and hyphens.

    Raises:
        UsageError: a condition has no ``=``, no column or no value.
    """

    def __init__(self, conditions: Sequence[str] = ()) -> None:
        self._wanted: dict[str, dict[str, str]] = {}
        self._names: dict[str, str] = {}
        self._there: dict[str, dict[str, str]] = {}
        for condition in conditions:
            name, equals, value = condition.partition("=")
            if not equals or not column_key(name) or not error_type_key(value):
                raise UsageError(f"--where is {condition!r}, expected a column and a value, e.g. Difficulty=Hard")
            self._wanted.setdefault(column_key(name), {})[error_type_key(value)] = value.strip()
            self._names[column_key(name)] = name.strip()

    def matches(self, metadata: Mapping[str, str]) -> bool:
        """Whether a case with ``metadata`` is wanted. What is there is remembered."""
        if not self._wanted:
            return True
        values = {column_key(name): value for name, value in metadata.items()}
        for name in metadata:
            self._there.setdefault(column_key(name), {}).setdefault("", name)
        for key, value in values.items():
            if key in self._wanted and len(self._there[key]) <= _VALUES_REMEMBERED:
                self._there[key].setdefault(error_type_key(value), value)
        return all(error_type_key(values.get(key, "")) in wanted for key, wanted in self._wanted.items())

    def check(self, source: str) -> None:
        """Check that each column and each value is there, when all cases were asked about.

        Raises:
            UsageError: one is nowhere; what there is is told.
        """
        for key, wanted in self._wanted.items():
            if key not in self._there:
                columns = ", ".join(repr(names[""]) for names in self._there.values()) or "none beside MEDEC's"
                raise UsageError(f"--where asks for the column {self._names[key]!r}; {source} has {columns}")
            there = {value_key: value for value_key, value in self._there[key].items() if value_key}
            for value_key, value in wanted.items():
                if value_key not in there and len(there) < _VALUES_REMEMBERED:
                    shown = ", ".join(map(repr, list(there.values())[:MAX_VALUES_SHOWN]))
                    more = ", ..." if len(there) > MAX_VALUES_SHOWN else ""
                    raise UsageError(f"--where asks for {self._names[key]}={value}; {source} has {shown}{more}")


_TRIES_TO_PART_TWINS = 64


@dataclass(frozen=True, slots=True)
class CaseKey:
    """What the split needs to know of a case."""

    number: int
    error_type: str
    group: int


@dataclass(frozen=True, slots=True)
class Seat:
    """One record to write: a case, and the category it plays there."""

    case: CaseKey
    data_type: DataType


def choose_cases(cases: Sequence[CaseKey], count: int, seed: int) -> list[CaseKey]:
    """``count`` of ``cases`` (all, when there are fewer), each error type with its share."""
    ordered = _by_error_type(cases, derived_random(seed, "choose"))
    count = min(count, len(ordered))
    return [ordered[place * len(ordered) // count] for place in range(count)]


def hold_out(cases: Sequence[CaseKey], fraction: float, seed: int) -> tuple[list[CaseKey], list[CaseKey]]:
    """The cases to train on and those held out: whole near-duplicate groups, each error type with its share.

    ``fraction`` counts cases. It is met to within half of the largest group.
    """
    groups: dict[int, list[CaseKey]] = {}
    for case in _by_error_type(cases, derived_random(seed, "hold out")):
        groups.setdefault(case.group, []).append(case)
    train: list[CaseKey] = []
    heldout: list[CaseKey] = []
    owed = 0.0
    for group in groups.values():
        owed += fraction * len(group)
        if owed >= len(group) / 2:
            owed -= len(group)
            heldout.extend(group)
        else:
            train.extend(group)
    return train, heldout


def four_way_split(cases: Sequence[CaseKey], seed: int) -> list[Seat]:
    """Two records for each case, both vanilla or both adversarial, in a random order that parts twins.

    Vanilla and adversarial cases differ by at most one, in all and for each error type; harmful and benign records
    are equally many in both. An odd case is vanilla.
    """
    seats: list[Seat] = []
    for place, case in enumerate(_by_error_type(cases, derived_random(seed, "split"))):
        if place % 2 == 0:
            pair = (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)
        else:
            pair = (DataType.ADVERSARIAL_HARMFUL, DataType.ADVERSARIAL_BENIGN)
        seats.extend(Seat(case, data_type) for data_type in pair)
    generator = derived_random(seed, "order")
    generator.shuffle(seats)
    _part_twins(seats, generator)
    return seats


def _by_error_type(cases: Iterable[CaseKey], generator: random.Random) -> list[CaseKey]:
    """``cases`` in random order within each error type, one error type after the other.

    Every k-th of this list is a sample with each error type's share.
    """
    ordered = sorted(cases, key=lambda case: case.number)
    types = in_order(case.error_type for case in ordered)
    by_type: dict[str, list[CaseKey]] = {error_type_key(name): [] for name in types}
    for case in ordered:
        by_type[error_type_key(case.error_type)].append(case)
    for members in by_type.values():
        generator.shuffle(members)
    return [case for members in by_type.values() for case in members]


def _part_twins(seats: list[Seat], generator: random.Random) -> None:
    """Swap records so that no two of one near-duplicate group are neighbours, as far as that can be done."""
    for place in range(1, len(seats)):
        if _group(seats, place) != _group(seats, place - 1):
            continue
        for _ in range(_TRIES_TO_PART_TWINS):
            other = generator.randrange(len(seats))
            seats[place], seats[other] = seats[other], seats[place]
            if not _touches_twin(seats, place) and not _touches_twin(seats, other):
                break
            seats[place], seats[other] = seats[other], seats[place]


def _touches_twin(seats: Sequence[Seat], place: int) -> bool:
    neighbours = [near for near in (place - 1, place + 1) if 0 <= near < len(seats)]
    return any(_group(seats, near) == _group(seats, place) for near in neighbours)


def _group(seats: Sequence[Seat], place: int) -> int:
    return seats[place].case.group


@dataclass(frozen=True)
class StoredCase(Closed):
    """A case as it waits on disk."""

    pair: NotePair
    metadata: dict[str, str] = field(default_factory=dict[str, str], metadata=OMITTED_IF_EMPTY)
    sentence_starts: tuple[int, ...] = field(default=(), metadata=OMITTED_IF_EMPTY)
    """Of the note with the error."""


@dataclass
class FileCases:
    """What one file gave."""

    path: Path
    log: ReadingLog = field(default_factory=ReadingLog)
    correct_notes: int = 0
    error_cases: int = 0


@dataclass
class Cases:
    """The cases of all files. Their pairs lie in the spool, by case number."""

    spool: Spool
    files: list[FileCases] = field(default_factory=list[FileCases])
    rows: array[int] = field(default_factory=lambda: array("q"))
    """The row of each case, counting the rows that were not refused."""
    group_of_row: array[int] = field(default_factory=lambda: array("q"))
    error_types: list[str] = field(default_factory=list[str])
    is_wanted: list[bool] = field(default_factory=list[bool])
    """Whether the metadata of each case is as asked for."""
    sources: set[Source] = field(default_factory=set[Source])

    @property
    def name(self) -> str:
        """The files, for messages."""
        return ", ".join(str(file.path) for file in self.files)

    def refusals(self) -> list[str]:
        """The refused rows, with their file where there are several."""
        return [
            f"{file.path.name}, {refusal}" if len(self.files) > 1 else str(refusal)
            for file in self.files
            for refusal in file.log.refusals
        ]

    def total(self, count: str) -> int:
        """The sum over the files of one of their logs' counts."""
        return sum(getattr(file.log, count) for file in self.files)

    def repairs(self) -> Counter[Repair]:
        """What was mended in all files."""
        return sum((file.log.repairs for file in self.files), Counter[Repair]())


def read_cases(paths: Sequence[Path], pairs: Spool, texts: Spool, wanted: MetadataFilter, *, is_strict: bool) -> Cases:
    """The cases of the files at ``paths``, one after the other, with near-duplicates found across all of them.

    Args:
        paths: files in MEDEC's columns.
        pairs: takes a :class:`StoredCase` for each case.
        texts: takes what finding near-duplicates needs.
        wanted: asked about each case.
        is_strict: as for :func:`.pairs.make_pair`.

    Raises:
        DataError: a file can't be read.
        UsageError: ``wanted`` asks for what is nowhere.
    """
    cases = Cases(pairs)
    near_duplicates = NearDuplicateGroups(texts)
    ids: set[int] = set()
    for path in paths:
        file = FileCases(path)
        cases.files.append(file)
        ids_before = frozenset(ids)
        for note in read_medec(path, file.log):
            if not note.has_error:
                near_duplicates.add(note)
                file.correct_notes += 1
                continue
            try:
                pair = make_pair(note, "", file.log.repairs, is_strict=is_strict)
            except PairError as error:
                file.log.refuse(note.line, note.text_id, str(error))
                continue
            if hash(pair.case_id) in ids_before:
                file.log.repairs[Repair.TEXT_ID] += 1
                pair = replace(pair, case_id=f"{path.stem}-{pair.case_id}")
            ids.add(hash(pair.case_id))
            _take(cases, file, note, pair, near_duplicates.add(note), wanted)
    cases.group_of_row = near_duplicates.groups()
    if cases.error_types:
        wanted.check(cases.name)
    return cases


def choose(
    cases: Cases, num_samples: int | None, seed: int, heldout: float | None, error_types: Sequence[str]
) -> tuple[list[CaseKey], list[CaseKey]]:
    """The cases to train on and to hold out.

    Raises:
        DataError: there is none.
        UsageError: an error type is nowhere, or one of the two sets would be empty.
    """
    wanted = WantedErrorTypes.of(error_types, cases.error_types)
    usable = [
        CaseKey(number, error_type, cases.group_of_row[cases.rows[number]])
        for number, error_type in enumerate(cases.error_types)
        if error_type in wanted and cases.is_wanted[number]
    ]
    if usable and wanted.unknown:
        there = ", ".join(in_order(cases.error_types))
        raise UsageError(f"--error-types asks for {', '.join(wanted.unknown)}; {cases.name} has {there}")
    if not usable:
        raise DataError(f"{cases.name} gives no case to play with:", _why_no_case(cases, error_types))
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


def _take(cases: Cases, file: FileCases, note: Note, pair: NotePair, row: int, wanted: MetadataFilter) -> None:
    file.error_cases += 1
    cases.rows.append(row)
    cases.error_types.append(pair.error_type)
    cases.is_wanted.append(wanted.matches(note.metadata))
    cases.sources.add(pair.source)
    cases.spool.append(to_line(StoredCase(pair, note.metadata, note.sentence_starts)))


def _why_no_case(cases: Cases, error_types: Sequence[str]) -> list[str]:
    reasons = cases.refusals()
    if not cases.error_types:
        correct = sum(file.correct_notes for file in cases.files)
        first = f"of {cases.total('rows')} rows, {correct} are correct notes and {cases.total('refused')} were refused"
    elif any(cases.is_wanted):
        there = ", ".join(in_order(cases.error_types))
        first = f"--error-types asks for {', '.join(error_types)}; the file has {there}"
    else:
        first = "no case has all that --where asks for"
    return shortened([first, *reasons])
