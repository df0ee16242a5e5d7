"""Held-out games must be played with notes that no player was trained on."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from ..parsing import folded_words
from ..records import NotePair
from .model_choice import ModelChoice
from .training_texts import training_notes


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


def _folded(note: str) -> str:
    return " ".join(folded_words(note))
