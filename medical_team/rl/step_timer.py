"""What a step is doing and how long it takes: for the display and the metrics."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from ..report.display import Display


class Phases:
    """Times the phases of a step and tells the display of them."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._current = ""
        self._seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Time what happens inside under ``name``."""
        self._current = name
        self._display.phase(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def detail(self, text: str) -> None:
        """Say what the current phase is at."""
        self._display.phase(self._current, text)

    def take_seconds(self) -> dict[str, float]:
        """Seconds by phase since the last call."""
        seconds, self._seconds = self._seconds, {}
        return seconds
