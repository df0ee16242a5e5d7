"""What a model was trained on: a figure on those notes, or on their twins, would measure memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import UsageError
from ..records import NotePair
from ..runs.folder import RunFolder
from ..words import folded_words
from .medec_texts import MedecText
from .model_choice import MOST_RUNS, ModelChoice, start_of

TrainingTexts = Literal["refuse", "leave-out", "keep"]


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
    unseen = tuple(text for text in texts if text.near_duplicate_group not in groups)
    seen = len(texts) - len(unseen)
    if not seen:
        known = "none of these texts, nor a twin of them, by this run or those it started from"
        return CheckedTexts(unseen, 0, f"{known}{_chosen_by(texts, run)}")
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


def _chosen_by(texts: Sequence[MedecText], run: RunFolder) -> str:
    """That the best checkpoint was chosen by some of ``texts``, where it was."""
    records = run.heldout_records()
    groups = groups_with(texts, (note for record in records for note in (record.error_note, record.corrected_note)))
    count = sum(text.near_duplicate_group in groups for text in texts)
    return f"; but the best checkpoint was chosen by {count} of them, or by twins" if count else ""


def check_heldout(pairs: Sequence[NotePair], choice: ModelChoice, *, is_kept: bool) -> None:
    """Check that none of ``pairs`` is among the training data of the run that made the model.

    Args:
        is_kept: the user wants to play with them all the same.

    Raises:
        UsageError: some are.
    """
    if choice.run is None or is_kept:
        return
    known = {_folded(note) for note in training_notes(choice.run)}
    seen = {pair.case_id for pair in pairs if {_folded(pair.error_note), _folded(pair.corrected_note)} & known}
    if seen:
        raise UsageError(
            f"{len(seen)} of the {len({pair.case_id for pair in pairs})} cases are among the training data of "
            f"{choice.run.path} (for example {min(seen)}): the figures would measure memory. Name other records with "
            "--data, or keep them with --keep-training-notes."
        )


def groups_with(texts: Sequence[MedecText], notes: Iterable[str]) -> set[str]:
    """The near-duplicate groups of ``texts`` that hold one of ``notes``, case, punctuation and white space folded."""
    known = {_folded(note) for note in notes}
    return {text.near_duplicate_group for text in texts if _folded(text.text) in known}


def training_notes(run: RunFolder) -> Iterator[str]:
    """Every note that the run was trained on, and those before it that it started from."""
    for ancestor in _lineage(run):
        for record in ancestor.training_records():
            yield from (record.note, record.error_note, record.corrected_note)


def _lineage(run: RunFolder) -> Iterator[RunFolder]:
    """The run, and the runs from whose models it started."""
    current: RunFolder | None = run
    for _ in range(MOST_RUNS):
        if current is None:
            return
        yield current
        current = start_of(current).run


def _folded(note: str) -> str:
    return " ".join(folded_words(note))
