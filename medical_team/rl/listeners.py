"""Who is told how a run goes: displays, trackers, alarms and whatever comes. The loop knows none of their kinds.

A listener that raises harms nobody else: the others are told of it once, and the run goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..records import Game
from ..runs.folder import RunFolder


class Listener:
    """Is told of a run. Every method does nothing here: override what is of interest."""

    def notice(self, text: str) -> None:
        """Hear a sentence for a person, such as that a model is being loaded."""

    def warn(self, text: str) -> None:
        """Hear a sentence that a person should not miss."""

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """``run`` begins, or goes on, with ``first_step``; what it has recorded so far lies in its folder."""

    def phase(self, name: str, detail: str = "") -> None:
        """Hear what is being done now, e.g. ``play`` and ``7/16 attackers``."""

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Step ``step`` (from 0) is complete: its games, none in a warm start, and its metrics by name."""

    def run_ended(self) -> None:
        """The run is complete, stopped, or cut short by an error. Nothing follows."""


class ListenerGroup(Listener):
    """All listeners of a run as one, each told in the order in which they were given.

    Args:
        listeners: they stay whoever they are; one that raises an exception is told nothing more.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = list(listeners)

    def notice(self, text: str) -> None:
        """Tell all."""
        self._tell(lambda listener: listener.notice(text))

    def warn(self, text: str) -> None:
        """Tell all."""
        self._tell(lambda listener: listener.warn(text))

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Tell all."""
        self._tell(lambda listener: listener.run_started(run, first_step))

    def phase(self, name: str, detail: str = "") -> None:
        """Tell all."""
        self._tell(lambda listener: listener.phase(name, detail))

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Tell all."""
        self._tell(lambda listener: listener.step_ended(step, games, metrics))

    def run_ended(self) -> None:
        """Tell all."""
        self._tell(lambda listener: listener.run_ended())

    def _tell(self, told: Callable[[Listener], None]) -> None:
        for listener in list(self._listeners):
            try:
                told(listener)
            except Exception as error:  # noqa: BLE001 - whatever a display or tracker runs into, the run must go on
                self._listeners.remove(listener)
                self.warn(
                    f"{type(listener).__name__} failed and is told nothing more of this run, which goes on: "
                    f"{type(error).__name__}: {error}"
                )
