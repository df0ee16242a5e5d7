"""The live view of a run on a terminal."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..records import Role
from ..terminal_text import encodable, visible
from .display import Clock, Display, duration_text, number_text

BAR_WIDTH = 24
REFRESHES_PER_SECOND = 4

_ROLE_ROWS = {
    "reward": ("rewards/{role}/total", "+z.2f"),
    "win rate": ("win_rate/{role}", ".0%"),
    "format violations": ("format_violations/{role}", ".0%"),
    "void": ("void_share/{role}", ".0%"),
}


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
        self._console.print(self._text(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Write a warning above the view, on standard error."""
        with self._withdrawn():
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

    @contextmanager
    def _withdrawn(self) -> Generator[None]:
        """The view taken off the terminal, so that another stream can write there."""
        if self._live is None:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            # A new one, since a stopped one still believes that it stands on the screen.
            self._live = self._drawing()

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
        kl = number_text(self._metrics, "policy/kl", "z.4f")
        speed = number_text(self._metrics, "speed/tokens_per_second", ".0f")
        memory = number_text(self._metrics, "memory/peak_gib", ".1f")
        return self._text(f"KL {kl} nats a token, {speed} tokens a second, peak memory {memory} GiB")
