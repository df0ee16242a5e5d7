"""What a person sees while a run trains: a live view on a terminal, else one plain line for each step.

The plain lines serve files, pipes, ``NO_COLOR`` and dumb terminals. Warnings go to standard error. Whatever text comes
in is shown as it is: no character of it drives the terminal, no markup in it is interpreted.
"""

from __future__ import annotations

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import IO, Self

from ..records import Role
from ..terminal_text import encodable, visible

Clock = Callable[[], float]

ABSENT = "-"


class Display(ABC):
    """Tells a person how a run goes. A context manager: leaving the block closes it, also after an error."""

    def __init__(self, stream: IO[str], errors: IO[str], clock: Clock) -> None:
        self.stream = stream
        self.errors = errors
        self.total_steps = 0
        self.done_steps = 0
        self._clock = clock
        self._first_step = 0
        self._started = self._last_step_ended = clock()
        self._told_alarms: set[str] = set()

    def start(self, total_steps: int, first_step: int = 0) -> None:
        """Training begins: steps ``first_step`` to ``total_steps - 1`` are to come."""
        self.total_steps = total_steps
        self.done_steps = self._first_step = first_step
        self._started = self._last_step_ended = self._clock()

    @abstractmethod
    def phase(self, name: str, detail: str = "") -> None:
        """What is being done now, e.g. ``play`` and ``7/16 games``."""

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Step ``step`` (from 0) is complete, with ``metrics`` named as in :mod:`.metrics`."""
        self.done_steps = step + 1
        self._last_step_ended = self._clock()
        self._show_step(metrics)

    @abstractmethod
    def notice(self, text: str) -> None:
        """Say something once, such as where the run lies."""

    def warn(self, text: str) -> None:
        """Warn, on standard error."""
        self._write(self.errors, f"warning: {text}")

    def alarms(self, found: Mapping[str, str]) -> None:
        """Warn of each of the alarms ``found`` (:func:`.alarms.alarms`) that was not told yet."""
        for name, sentence in found.items():
            if name not in self._told_alarms:
                self.warn(sentence)
        self._told_alarms.update(found)

    @abstractmethod
    def close(self) -> None:
        """Stop; what was shown last stays."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def _show_step(self, metrics: Mapping[str, float]) -> None: ...

    def _write(self, stream: IO[str], text: str) -> None:
        stream.write(encodable(visible(text), stream) + "\n")
        stream.flush()

    def _seconds_gone(self) -> float:
        return self._clock() - self._started

    def _seconds_left(self) -> float | None:
        """By the mean time of the steps of this process; None before the first is complete."""
        done = self.done_steps - self._first_step
        if done <= 0:
            return None
        seconds_per_step = (self._last_step_ended - self._started) / done
        left = (self.total_steps - self.done_steps) * seconds_per_step
        return max(0.0, left - (self._clock() - self._last_step_ended))


class PlainDisplay(Display):
    """One line for each step, under a header."""

    def start(self, total_steps: int, first_step: int = 0) -> None:
        """Write the header."""
        super().start(total_steps, first_step)
        self._write(self.stream, _GROUPS)
        self._write(self.stream, _HEADER)

    def phase(self, name: str, detail: str = "") -> None:
        """Nothing: a line is written when the step is complete."""

    def notice(self, text: str) -> None:
        """Write ``text``."""
        self._write(self.stream, text)

    def close(self) -> None:
        """Nothing: each line was written whole."""

    def _show_step(self, metrics: Mapping[str, float]) -> None:
        cells = [f"{self.done_steps}/{self.total_steps}", duration_text(self._seconds_left()), *metric_cells(metrics)]
        self._write(self.stream, _row(cells))


def make_display(
    stream: IO[str] | None = None, errors: IO[str] | None = None, clock: Clock = time.monotonic
) -> Display:
    """The display that fits ``stream`` (standard output by default); warnings go to ``errors`` (standard error)."""
    shown_on: IO[str] = sys.stdout if stream is None else stream
    warned_on: IO[str] = sys.stderr if errors is None else errors
    if not shown_on.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return PlainDisplay(shown_on, warned_on, clock)
    # Imported only here: rich has no part in a run whose output is piped.
    from .live_display import LiveDisplay

    return LiveDisplay(shown_on, warned_on, clock)


def metric_cells(metrics: Mapping[str, float]) -> list[str]:
    """The metrics that a person follows, as text: those of each role, then those of the whole step."""
    return [
        *(number_text(metrics, f"rewards/{role.value}/total", "+z.2f") for role in Role),
        *(number_text(metrics, f"win_rate/{role.value}", ".0%") for role in Role),
        *(number_text(metrics, f"format_violations/{role.value}", ".0%") for role in Role),
        *(number_text(metrics, f"void_share/{role.value}", ".0%") for role in Role),
        number_text(metrics, "policy/kl", "z.4f"),
        number_text(metrics, "speed/tokens_per_second", ".0f"),
        number_text(metrics, "memory/peak_gib", ".1f"),
    ]


def number_text(metrics: Mapping[str, float], name: str, form: str) -> str:
    """One metric as text; a dash where the step has none."""
    return format(metrics[name], form) if name in metrics else ABSENT


def duration_text(seconds: float | None) -> str:
    """Hours, minutes and seconds; a dash where nothing is known."""
    return ABSENT if seconds is None else str(timedelta(seconds=round(seconds)))


_WIDTHS = (9, 8, *[8] * 8, 8, 8, 6)
_PAIR = 17


def _row(cells: list[str]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))


_GROUPS = " ".join(
    [
        " " * 18,
        *(f"{title:>{_PAIR}}" for title in ("reward", "win rate", "format violations", "void")),
        " " * 8,
        f"{'tokens':>8}",
        f"{'memory':>6}",
    ]
)
_HEADER = _row(["step", "left", *(["attacker", "assessor"] * 4), "KL", "a second", "GiB"])
