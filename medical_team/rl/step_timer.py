"""What a step is doing and how long it takes: for displays and the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


class StepTimer:
    """Times the phases of a step.

    Args:
        on_phase: told the name of each phase, and what it is at.
    """

    def __init__(self, on_phase: Callable[[str, str], None] = lambda name, detail: None) -> None:
        self._on_phase = on_phase
        self._current = ""
        self._seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Time what happens inside under ``name``."""
        self._current = name
        self._on_phase(name, "")
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def detail(self, text: str) -> None:
        """Say what the current phase is at."""
        self._on_phase(self._current, text)

    def take_seconds(self) -> dict[str, float]:
        """Seconds by phase since the last call."""
        seconds, self._seconds = self._seconds, {}
        return seconds
