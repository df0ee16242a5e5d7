"""The demo's small world: which conditions its policy is taught, which it must learn by playing, which it never sees.

In the notes to play with, an error is nearly always the common confusion. Demonstrated attackers plant any error, so
that an assessor that plays meets errors which the notes alone would rarely show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, pairwise

from ...records import DataType, TrainingRecord
from ...seeds import derived_random
from .cases import SyntheticCase, synthetic_cases
from .table import medical_table

TAUGHT, UNTAUGHT, EDITED, UNSEEN = 12, 8, 16, 30
"""Conditions whose verdicts are demonstrated; that are only played with; that only attackers are shown, and nobody
plays with; that occur in no training of any kind."""

PLAYED_RARE_SHARE = 0.03
"""The share of errors that are not the common confusion, in the notes to play with."""

DEMONSTRATED_RARE_SHARE = 0.5
"""The same for demonstrations."""


UNSEEN_GROUP = "conditions never seen"
"""The held-out notes of conditions that occur in no training."""


@dataclass(frozen=True)
class DemoWorld:
    """Names of conditions, in four parts that share none."""

    taught: tuple[str, ...]
    untaught: tuple[str, ...]
    edited: tuple[str, ...]
    unseen: tuple[str, ...]

    @property
    def played(self) -> tuple[str, ...]:
        """The conditions of the notes to play with."""
        return (*self.taught, *self.untaught)


@cache
def demo_world() -> DemoWorld:
    """The world, always the same."""
    names = sorted(medical_table().conditions)
    derived_random(0, "demo conditions").shuffle(names)
    ends = accumulate((TAUGHT, UNTAUGHT, EDITED, UNSEEN))
    return DemoWorld(*(tuple(names[start:end]) for start, end in pairwise((0, *ends))))


def played_records(cases: int, seed: int, *, rare_share: float = PLAYED_RARE_SHARE) -> list[TrainingRecord]:
    """Records to play with: two for each case, vanilla and adversarial cases in turn."""
    drawn = synthetic_cases(cases, seed, conditions=demo_world().played, rare_share=rare_share)
    return [record for case in drawn for record in _records(case, "played", is_adversarial=case.number % 2 == 1)]


@dataclass(frozen=True)
class DemonstratedRecords:
    """What the demo policy is shown."""

    revisions: tuple[TrainingRecord, ...]
    """Of all conditions but the unseen ones."""
    verdicts: tuple[TrainingRecord, ...]
    """Of the taught conditions: the right verdict is shown."""
    guesses: tuple[TrainingRecord, ...]
    """Of all of these but the taught ones: coin flips are shown as verdicts."""


def demonstrated_records(cases: int, seed: int) -> DemonstratedRecords:
    """Records for demonstrations, of ``cases`` cases in each part."""
    world = demo_world()
    guessed = (*world.untaught, *world.edited)
    parts = (
        tuple(
            record
            for case in synthetic_cases(cases, seed + part, conditions=conditions, rare_share=DEMONSTRATED_RARE_SHARE)
            for record in _records(case, f"demonstrated-{part}", is_adversarial=True)
        )
        for part, conditions in enumerate(((*world.taught, *guessed), world.taught, guessed))
    )
    return DemonstratedRecords(*parts)


def heldout_records(cases: int, seed: int) -> Mapping[str, list[TrainingRecord]]:
    """Adversarial records of ``cases`` held-out cases in each of several groups, by what they ask of the assessor."""
    world = demo_world()
    groups = {
        "taught conditions, common errors": (world.taught, 0.0),
        "taught conditions, rare errors": (world.taught, 1.0),
        "untaught conditions, common errors": (world.untaught, 0.0),
        "untaught conditions, rare errors": (world.untaught, 1.0),
        UNSEEN_GROUP: (world.unseen, 0.5),
    }
    return {
        name: [
            record
            for case in synthetic_cases(cases, seed, conditions=conditions, rare_share=rare_share)
            for record in _records(case, name.replace(" ", "-").replace(",", ""), is_adversarial=True)
        ]
        for name, (conditions, rare_share) in groups.items()
    }


def _records(case: SyntheticCase, prefix: str, *, is_adversarial: bool) -> Iterator[TrainingRecord]:
    pair = case.pair(f"{prefix}-{case.number:06d}")
    for data_type in DataType:
        if data_type.is_adversarial is is_adversarial:
            yield TrainingRecord.of(pair, data_type)
