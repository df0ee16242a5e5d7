"""What a person sees while a run trains: a live view on a terminal, one plain line for each step elsewhere; and
what is said of its games when it ends."""

from __future__ import annotations

import os
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import IO, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..metrics.alarms import MUCH_VOID
from ..metrics.step_metrics import ASKED_STATES, void_counts
from ..records import DataType, Game, GameState, Role
from ..rl.protocols import Listener
from ..runs.folder import RunFolder
from ..terminal_text import encodable, folded, visible

Clock = Callable[[], float]

ABSENT = "-"

BAR_WIDTH = 24
REFRESHES_PER_SECOND = 4

_ROLE_ROWS = {
    "reward": ("rewards/{role}/total", "+z.2f"),
    "win rate": ("win_rate/{role}", ".0%"),
    "format violations": ("format_violations/{role}", ".0%"),
    "void": ("void_share/{role}", ".0%"),
}


class Display(Listener, ABC):
    """Tells a person how a run goes. A context manager: leaving the block closes it, also after an error."""

    def __init__(self, stream: IO[str], errors: IO[str], clock: Clock) -> None:
        self.stream = stream
        self.errors = errors
        self.total_steps = 0
        self.done_steps = 0
        self._clock = clock
        self._first_step = 0
        self._started = self._last_step_ended = clock()

    def run_started(self, run: RunFolder, first_step: int) -> None:
        """Training begins."""
        self.start(run.total_steps, first_step)

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Show the metrics of ``step`` (from 0), which is complete, named as in :mod:`..metrics.step_metrics`."""
        self.done_steps = step + 1
        self._last_step_ended = self._clock()
        self._show_step(metrics)

    def start(self, total_steps: int, first_step: int = 0) -> None:
        """Steps ``first_step`` to ``total_steps - 1`` are to come."""
        self.total_steps = total_steps
        self.done_steps = self._first_step = first_step
        self._started = self._last_step_ended = self._clock()

    @abstractmethod
    def phase(self, name: str, detail: str = "") -> None:
        """What is being done now, e.g. ``play`` and ``7/16 games``."""

    @abstractmethod
    def notice(self, text: str) -> None:
        """Say something once, such as where the run lies."""

    def warn(self, text: str) -> None:
        """Warn, on standard error."""
        self._write(self.errors, f"warning: {text}")

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
    """Each number of a step beside its name: into a file one line a step, on a terminal lines that fit its window."""

    def phase(self, name: str, detail: str = "") -> None:
        """Nothing: a step is told when it is complete."""

    def notice(self, text: str) -> None:
        """Write ``text``."""
        is_terminal = self.stream.isatty()
        self._write(self.stream, folded(text, shutil.get_terminal_size().columns) if is_terminal else text)

    def close(self) -> None:
        """Nothing: each line was written whole."""

    def _show_step(self, metrics: Mapping[str, float]) -> None:
        parts = [f"step {self.done_steps} of {self.total_steps}, {duration_text(self._seconds_left())} left"]
        for role in Role:
            named = ((title, name.format(role=role.value), form) for title, (name, form) in _ROLE_ROWS.items())
            told = [f"{title} {format(metrics[name], form)}" for title, name, form in named if name in metrics]
            parts += [f"{role.value}: {', '.join(told)}"] if told else []
        between = "\n  " if self.stream.isatty() else "; "
        self.notice(between.join(filter(None, [*parts, _whole_step_text(metrics)])))


class LiveDisplay(Display):
    """Progress, time left, the phase and the metrics of the last step, redrawn in place."""

    def __init__(self, stream: IO[str], errors: IO[str], clock: Clock) -> None:
        super().__init__(stream, errors, clock)
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._phase = "starting"
        self._metrics: Mapping[str, float] = {}
        self._live: Live | None = None

    def start(self, total_steps: int, first_step: int = 0) -> None:
        """Begin to draw."""
        super().start(total_steps, first_step)
        if self._live is None:
            self._live = self._drawing()

    def phase(self, name: str, detail: str = "") -> None:
        """Show what is being done now."""
        self._phase = f"{name}: {detail}" if detail else name

    def notice(self, text: str) -> None:
        """Write ``text`` above the view."""
        self._console.print(self._text(folded(text, self._console.width)), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Write a warning above the view, where both are on the terminal; else on standard error."""
        if self._live is not None and self.errors.isatty():
            self.notice(f"warning: {text}")
        else:
            super().warn(text)

    def close(self) -> None:
        """Stop drawing; the last view stays."""
        if self._live is not None:
            self._phase = "stopped" if self.done_steps < self.total_steps else "done"
            self._live.transient = False
            self._live.stop()
            self._live = None

    def _show_step(self, metrics: Mapping[str, float]) -> None:
        self._metrics = metrics

    def _drawing(self) -> Live:
        live = Live(
            console=self._console,
            get_renderable=self._view,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
            # What goes to a file of its own must still get there.
            redirect_stderr=self.errors.isatty(),
        )
        live.start(refresh=True)
        return live

    def _text(self, text: str, style: str = "") -> Text:
        return Text(encodable(visible(text), self.stream), style=style)

    def _view(self) -> RenderableType:
        return Group(self._progress(), self._text(f"now: {self._phase}"), self._roles(), self._whole_step())

    def _progress(self) -> RenderableType:
        line = Table.grid(padding=(0, 1))
        gone, left = duration_text(self._seconds_gone()), duration_text(self._seconds_left())
        line.add_row(
            self._text(f"step {self.done_steps}/{self.total_steps}", style="bold"),
            ProgressBar(total=self.total_steps, completed=self.done_steps, width=BAR_WIDTH),
            self._text(f"{gone} gone, {left} left"),
        )
        return line

    def _roles(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(Text("last step"))
        for role in Role:
            table.add_column(Text(role.value), justify="right", min_width=9)
        for title, (name, form) in _ROLE_ROWS.items():
            cells = (number_text(self._metrics, name.format(role=role.value), form) for role in Role)
            table.add_row(Text(title), *map(Text, cells))
        return table

    def _whole_step(self) -> RenderableType:
        return self._text(_whole_step_text(self._metrics))


def make_display(
    stream: IO[str] | None = None, errors: IO[str] | None = None, clock: Clock = time.monotonic
) -> Display:
    """The display that fits ``stream`` (standard output by default); warnings go to ``errors`` (standard error)."""
    shown_on: IO[str] = sys.stdout if stream is None else stream
    warned_on: IO[str] = sys.stderr if errors is None else errors
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb"
    is_live = shown_on.isatty() and not is_plain
    return (LiveDisplay if is_live else PlainDisplay)(shown_on, warned_on, clock)


_WHOLE_STEP = {
    "policy/kl": "KL {:z.4f} nats a token",
    "policy/demonstration_loss": "loss on demonstrations {:.3f} nats a token",
    "speed/tokens_per_second": "{:.0f} tokens a second",
    "memory/peak_gib": "peak memory {:.1f} GiB",
}


def _whole_step_text(metrics: Mapping[str, float]) -> str:
    """What is known of a whole step; a warm start plays no games, so that it has other numbers than self-play."""
    return ", ".join(form.format(metrics[name]) for name, form in _WHOLE_STEP.items() if name in metrics)


def number_text(metrics: Mapping[str, float], name: str, form: str) -> str:
    """One metric as text; a dash where the step has none."""
    return format(metrics[name], form) if name in metrics else ABSENT


def duration_text(seconds: float | None) -> str:
    """Hours, minutes and seconds; a dash where nothing is known."""
    if seconds is None:
        return ABSENT
    return str(timedelta(seconds=round(seconds))) if seconds < _TOO_LONG else "years"


_TOO_LONG = 1000 * 86400


def void_summary(games: Iterable[Game]) -> str:
    """The share of void games by role and by category, in one pass over ``games``, and what to do about a high one."""
    adversarial = Counter[GameState]()
    counts = void_counts(_counting(games, adversarial))
    if not counts:
        return "The judge was asked about no game: no game had both a note and a verdict."
    lines = ["Void games, in which the judge could not tell and nobody was rewarded:"]
    for names in ([role.value for role in Role], [data_type.value for data_type in DataType]):
        shares = [f"{name} {_share(*counts[name])}" for name in names if name in counts]
        lines.append("  " + ", ".join(shares))
    if any(voids > MUCH_VOID * asked for voids, asked in counts.values()):
        lines.append(
            "  More than one half: use a model judge; the reference judge reads little beyond the data set's notes."
        )
    if undecidable := adversarial[GameState.UNDECIDABLE]:
        asked = sum(adversarial[state] for state in ASKED_STATES)
        lines.append(
            f"Revisions that the judge could not decide, and the attacker lost by: {_share(undecidable, asked)}"
        )
    return "\n".join(lines)


def replacement_summary(metrics: Iterable[Mapping[str, float]]) -> str | None:
    """How many games of each category were played in place of others that left nothing to learn from; None: none.

    Args:
        metrics: those of each step.
    """
    counts = Counter[str]()
    for values in metrics:
        counts.update({kind.value: int(values.get(f"replacements/{kind.value}", 0.0)) for kind in DataType})
    if not counts.total():
        return None
    told = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    return f"Games in place of others that left nothing to learn from: {counts.total()} ({told})"


def _counting(games: Iterable[Game], adversarial: Counter[GameState]) -> Iterator[Game]:
    """``games``, the states of the adversarial ones counted on the way."""
    for game in games:
        if game.spec.data_type.is_adversarial:
            adversarial[game.state] += 1
        yield game


def _share(voids: int, asked: int) -> str:
    return f"{voids / asked:.0%} of {asked}"
