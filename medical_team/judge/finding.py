"""What a judge finds in a note: an error, none, or that it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """``error_present`` is None where the judge cannot tell; ``reason`` says why, for a person to read."""

    error_present: bool | None
    reason: str
