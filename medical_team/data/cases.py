"""The usable cases of one or several files: chosen by what the file says of them beside MEDEC's columns, held out, or
given the category that they play."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..error_types import WantedErrorTypes, error_type_key, in_order
from ..errors import DataError, UsageError
from ..jsonl import shortened
from ..records import DataType, Note, NotePair
from ..seeds import derived_random
from .medec import read_medec
from .pairs import PairError, make_pair, near_duplicate_groups
from .reading_log import ReadingLog, Repair
from .tables import column_key

MAX_VALUES_SHOWN = 12
_TRIES_TO_PART_TWINS = 64


@dataclass(frozen=True)
class Case:
    """One error case."""

    number: int
    """Its place among the cases of all files."""
    group: int
    """Of near-duplicates."""
    pair: NotePair
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    sentence_starts: tuple[int, ...] = ()
    """Of the note with the error."""

    @property
    def error_type(self) -> str:
        """The type of its error."""
        return self.pair.error_type


@dataclass
class FileCases:
    """What one file gave."""

    path: Path
    log: ReadingLog = field(default_factory=ReadingLog)
    correct_notes: int = 0
    error_cases: int = 0


@dataclass(frozen=True)
class Cases:
    """The cases of all files."""

    files: Sequence[FileCases]
    cases: Sequence[Case]
    group_sizes: Counter[int]
    """How many notes, correct ones among them, each near-duplicate group has."""

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


def read_cases(paths: Sequence[Path], *, is_strict: bool = False) -> Cases:
    """The cases of the files at ``paths``, one after the other, with near-duplicates found across all of them.

    Args:
        paths: files in MEDEC's columns.
        is_strict: as for :func:`.pairs.make_pair`.

    Raises:
        DataError: a file can't be read.
    """
    files: list[FileCases] = []
    notes: list[Note] = []
    pairs: dict[int, NotePair] = {}
    for path in paths:
        file = FileCases(path)
        files.append(file)
        ids_before = {pair.case_id for pair in pairs.values()}
        for note in read_medec(path, file.log):
            if note.has_error:
                try:
                    pair = make_pair(note, "", file.log.repairs, is_strict=is_strict)
                except PairError as error:
                    file.log.refuse(note.line, note.text_id, str(error))
                    continue
                if pair.case_id in ids_before:
                    file.log.repairs[Repair.TEXT_ID] += 1
                    pair = replace(pair, case_id=f"{path.stem}-{pair.case_id}")
                pairs[len(notes)] = pair
            file.error_cases += note.has_error
            file.correct_notes += not note.has_error
            notes.append(note)
    groups = near_duplicate_groups(notes)
    cases = [
        Case(
            number,
            groups[row],
            replace(pair, near_duplicate_group=f"twins-{groups[row]}"),
            notes[row].metadata,
            notes[row].sentence_starts,
        )
        for number, (row, pair) in enumerate(pairs.items())
    ]
    return Cases(files, cases, Counter(groups))


def choose(
    cases: Cases,
    num_samples: int | None,
    seed: int,
    heldout: float | None,
    error_types: Sequence[str] = (),
    where: Sequence[str] = (),
) -> tuple[list[Case], list[Case]]:
    """The cases to train on and to hold out.

    Args:
        cases: what the files gave.
        num_samples: how many, held-out ones included; None: all.
        seed: decides which.
        heldout: the fraction to hold out; None: nothing.
        error_types: the only types, by any of their names; empty: all.
        where: what is wanted of the metadata, as ``COLUMN=VALUE``: one of the values of each column that is named.

    Raises:
        DataError: there is none.
        UsageError: an error type, a column or a value is nowhere, or one of the two sets would be empty.
    """
    wanted = WantedErrorTypes.of(error_types, (case.error_type for case in cases.cases))
    matching = _with_metadata(cases, where)
    usable = [case for case in matching if case.error_type in wanted]
    if usable and wanted.unknown:
        raise UsageError(
            f"--error-types asks for {', '.join(wanted.unknown)}; {cases.name} has {_types_of(cases.cases)}"
        )
    if not usable:
        if not cases.cases:
            correct = sum(file.correct_notes for file in cases.files)
            why = (
                f"of {cases.total('rows')} rows, {correct} are correct notes and {cases.total('refused')} were refused"
            )
        elif matching:
            why = f"--error-types asks for {', '.join(error_types)}; the file has {_types_of(cases.cases)}"
        else:
            why = "no case has all that --where asks for"
        raise DataError(f"{cases.name} gives no case to play with:", shortened([why, *cases.refusals()]))
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


def _types_of(cases: Iterable[Case]) -> str:
    return ", ".join(in_order(case.error_type for case in cases))


def conditions_of(where: Sequence[str]) -> dict[str, dict[str, str]]:
    """The values wanted of each column, as :func:`choose` takes them: by their keys, as they were written.

    Raises:
        UsageError: a condition has no ``=``, no column or no value.
    """
    wanted: dict[str, dict[str, str]] = {}
    for condition in where:
        name, _, value = condition.partition("=")
        if not column_key(name) or not error_type_key(value):
            raise UsageError(f"--where is {condition!r}, expected a column and a value, e.g. Difficulty=Hard")
        wanted.setdefault(column_key(name), {})[error_type_key(value)] = condition
    return wanted


def _with_metadata(cases: Cases, where: Sequence[str]) -> Sequence[Case]:
    """The cases whose metadata are as ``where`` asks for; columns are found by their letters and digits, values
    whatever their case, spaces and hyphens."""
    wanted = conditions_of(where)
    metadata = [{column_key(name): value for name, value in case.metadata.items()} for case in cases.cases]
    for key, conditions in wanted.items() if metadata else ():
        values = {error_type_key(own[key]): own[key] for own in metadata if key in own}
        for value_key, condition in conditions.items():
            if not values:
                names = {column_key(name): name for case in cases.cases for name in case.metadata}
                columns = ", ".join(map(repr, names.values())) or "none beside MEDEC's"
                column = condition.partition("=")[0]
                raise UsageError(f"--where asks for the column {column!r}; {cases.name} has {columns}")
            if value_key not in values:
                shown = ", ".join(map(repr, list(values.values())[:MAX_VALUES_SHOWN]))
                more = ", ..." if len(values) > MAX_VALUES_SHOWN else ""
                raise UsageError(f"--where asks for {condition}; {cases.name} has {shown}{more}")
    return [
        case
        for case, own in zip(cases.cases, metadata, strict=True)
        if all(error_type_key(own.get(key, "")) in values for key, values in wanted.items())
    ]


@dataclass(frozen=True)
class Seat:
    """One record to write: a case, and the category it plays there."""

    case: Case
    data_type: DataType


def choose_cases(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """``count`` of ``cases`` (all, when there are fewer), each error type with its share."""
    ordered = _by_error_type(cases, derived_random(seed, "choose"))
    count = min(count, len(ordered))
    return [ordered[place * len(ordered) // count] for place in range(count)]


def hold_out(cases: Sequence[Case], fraction: float, seed: int) -> tuple[list[Case], list[Case]]:
    """The cases to train on and those held out: whole near-duplicate groups, each error type with its share.

    ``fraction`` counts cases. It is met to within half of the largest group.
    """
    groups: dict[int, list[Case]] = {}
    for case in _by_error_type(cases, derived_random(seed, "hold out")):
        groups.setdefault(case.group, []).append(case)
    train: list[Case] = []
    heldout: list[Case] = []
    owed = 0.0
    for group in groups.values():
        owed += fraction * len(group)
        if owed >= len(group) / 2:
            owed -= len(group)
            heldout.extend(group)
        else:
            train.extend(group)
    return train, heldout


def four_way_split(cases: Sequence[Case], seed: int) -> list[Seat]:
    """Two records for each case, both vanilla or both adversarial, in a random order that parts twins.

    Vanilla and adversarial cases differ by at most one, in all and for each error type; harmful and benign records
    are equally many in both. An odd case is vanilla.
    """
    seats: list[Seat] = []
    for place, case in enumerate(_by_error_type(cases, derived_random(seed, "split"))):
        is_adversarial = place % 2 == 1
        seats.extend(Seat(case, data_type) for data_type in DataType if data_type.is_adversarial is is_adversarial)
    generator = derived_random(seed, "order")
    generator.shuffle(seats)
    _part_twins(seats, generator)
    return seats


def _by_error_type(cases: Iterable[Case], generator: random.Random) -> list[Case]:
    """``cases`` in random order within each error type, one error type after the other.

    Every k-th of this list is a sample with each error type's share.
    """
    ordered = sorted(cases, key=lambda case: case.number)
    types = in_order(case.error_type for case in ordered)
    by_type: dict[str, list[Case]] = {error_type_key(name): [] for name in types}
    for case in ordered:
        by_type[error_type_key(case.error_type)].append(case)
    for members in by_type.values():
        generator.shuffle(members)
    return [case for members in by_type.values() for case in members]


def _part_twins(seats: list[Seat], generator: random.Random) -> None:
    """Swap records so that no two of one near-duplicate group are neighbours, as far as that can be done."""
    for place in range(1, len(seats)):
        if seats[place].case.group != seats[place - 1].case.group:
            continue
        for _ in range(_TRIES_TO_PART_TWINS):
            other = generator.randrange(len(seats))
            seats[place], seats[other] = seats[other], seats[place]
            if not _touches_twin(seats, place) and not _touches_twin(seats, other):
                break
            seats[place], seats[other] = seats[other], seats[place]


def _touches_twin(seats: Sequence[Seat], place: int) -> bool:
    neighbours = [*seats[max(0, place - 1) : place], *seats[place + 1 : place + 2]]
    return any(seat.case.group == seats[place].case.group for seat in neighbours)
