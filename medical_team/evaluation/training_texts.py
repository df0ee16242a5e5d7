"""Which texts a model was trained on: a figure on those, or on their twins, would measure memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import UsageError
from ..runs.folder import RunFolder
from .medec_texts import MedecText, groups_with
from .model_choice import choose_model

TrainingTexts = Literal["refuse", "leave-out", "keep"]

_MOST_RUNS = 16
"""A run may start from another run's model, and that from another."""


@dataclass(frozen=True)
class CheckedTexts:
    """The texts to evaluate on, how many were left out, and what is known, as a sentence."""

    texts: tuple[MedecText, ...]
    left_out: int
    known: str


def check_training_texts(
    texts: Sequence[MedecText], run: RunFolder | None, choice: TrainingTexts, *, is_baseline: bool = False
) -> CheckedTexts:
    """Refuse, leave out or keep those of ``texts`` on which the model of ``run`` was trained, and their twins.

    Raises:
        UsageError: there are some and ``choice`` is ``refuse``, or all would be left out.
    """
    if is_baseline:
        return CheckedTexts(tuple(texts), 0, "nothing: a baseline")
    if run is None:
        return CheckedTexts(
            tuple(texts), 0, "unknown: no run of this program made the model, or it was moved out of it"
        )
    groups = groups_with(texts, training_notes(run))
    unseen = tuple(text for text in texts if text.twin_group not in groups)
    seen = len(texts) - len(unseen)
    if not seen:
        return CheckedTexts(unseen, 0, "none of these texts, nor a twin of them, by this run or those it started from")
    if choice == "keep":
        return CheckedTexts(tuple(texts), 0, f"{seen} of these texts, or a twin of them: these figures measure memory")
    if choice == "refuse":
        raise UsageError(
            f"{seen} of the {len(texts)} texts, or twins of them, are among the training data of {run.path}: the "
            "figures would measure memory. --training-texts leave-out evaluates on the others, keep on all."
        )
    if not unseen:
        raise UsageError(f"all {seen} texts, or twins of them, are among the training data of {run.path}")
    return CheckedTexts(unseen, seen, f"none of these texts: {seen} others that it knows, or their twins, are left out")


def training_notes(run: RunFolder) -> Iterator[str]:
    """Every note that the run was trained on, and those before it that it started from."""
    for ancestor in _lineage(run):
        for record in ancestor.training_records():
            yield from (record.note, record.error_note, record.corrected_note)


def _lineage(run: RunFolder) -> Iterator[RunFolder]:
    """The run, and the runs from whose models it started."""
    current: RunFolder | None = run
    for _ in range(_MOST_RUNS):
        if current is None:
            return
        yield current
        current = choose_model(current.config.policy.model).run
