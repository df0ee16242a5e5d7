"""What a process of the cache's tests does; in a file of its own, so that a new process can import it."""

from __future__ import annotations

from pathlib import Path

from medical_team.judge.model_judge import FindingCache
from medical_team.judge.protocol import Finding
from medical_team.records import ErrorType

FINDING = Finding(True, "it says so", "vote", confidence=0.75, plausibility=0.5, error_type=ErrorType.TREATMENT)


def keep(folder: Path, name: str) -> None:
    """Write 50 findings of its own and 50 that others write too."""
    for number in range(50):
        FindingCache(folder).put_all({f"{name}-{number}": FINDING, f"shared-{number}": FINDING})
