"""What a judge finds in a note: an error, none, or that it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

REFERENCE = "reference"
MODEL = "model"
VOTE = "vote"


@dataclass(frozen=True)
class Finding:
    """``error_present`` is None where the judge cannot tell; ``reason`` says why, for a person to read.

    A finding is about a note alone: it knows nothing of the game, its category or the assessor's verdict.
    """

    error_present: bool | None
    reason: str
    source: str = REFERENCE
    """How it was found: by the reference judge, by a model's one answer, or by a vote of its answers."""
    is_failure: bool = False
    """Whether the judge itself failed, which is no abstention; ``error_present`` is None then."""
    confidence: float | None = None
    """How sure the judge is, from 0 to 1."""
    plausibility: float | None = None
    """How likely the judge holds it that a clinician wrote the note, from 0 to 1."""
    error_type: str | None = None
    """The type of the error, where one is present and its type is known."""
