"""Which cases are held out, which category each case plays, and in what order records are written.

Everything here is decided from case numbers, error types, near-duplicate groups and a seed: same seed, same split.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..error_types import error_type_key, in_order
from ..records import DataType
from ..seeds import derived_random

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
