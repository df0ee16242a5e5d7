"""What a tracker of experiments is told, and the table of games that it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...records import Game, Role

COLUMNS = ("game", "category", "state", "verdict", "reason", "attacker_reward", "assessor_reward", "note", "seed_note")

Row = list[str | float | None]


@dataclass(frozen=True)
class TrackedRun:
    """The run as a tracker knows it."""

    id: str
    """The same after a resume, and wherever the run's folder lies."""
    name: str
    project: str
    folder: Path
    """Where a tracker may keep files."""
    config: Mapping[str, Any]
    space: str | None
    """Trackio's Space; None: nothing leaves this machine by Trackio."""
    is_online: bool


class Tracker(Protocol):
    """One tracker that has been started."""

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Row]) -> None:
        """Keep the metrics of a step, and its table of games, which may be empty."""
        ...

    def finish(self) -> None:
        """The run is complete, stopped, or cut short."""
        ...


def game_row(game: Game) -> Row:
    """The row of ``game``, in the order of ``COLUMNS``. No thinking is in it."""
    totals = {reward.role: reward.total for reward in game.rewards}
    return [
        game.spec.id,
        game.spec.data_type.value,
        game.state.value,
        game.verdict.value if game.verdict is not None else None,
        game.reason,
        totals.get(Role.ATTACKER),
        totals.get(Role.ASSESSOR),
        game.note,
        game.spec.seed_note,
    ]
