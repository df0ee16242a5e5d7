"""Reading a run for its report: one pass over its games, and again over what is new while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..records import Game
from ..runs.folder import RunFolder, StepMetrics
from ..runs.run_state import Traces, traces_of
from ..runs.tail import LineTail
from .game_counts import StepFigures, step_figures
from .step_metrics import game_metrics

Metrics = dict[str, float]


class GameSink(Protocol):
    """Takes in the games of a run as they are read."""

    def add(self, game: Game, *, run: int, is_heldout: bool = False) -> None:
        """Take in ``game`` of the run number ``run``."""
        ...


class RunReader:
    """What a run's report is made from. The run may still be going on, or have been cut off at any place.

    A run without ``metrics.jsonl``, as another engine may leave it, gets the metrics that follow from its games.
    """

    def __init__(self, path: Path, archive: GameSink | None = None, *, number: int = 0) -> None:
        """Open the run at ``path``; nothing is read before :meth:`refresh`.

        Args:
            path: of the run folder.
            archive: takes in its games, for whoever wants to show them.
            number: of the run among those of the page.

        Raises:
            RunFolderError: there is no run at ``path``.
            ConfigError: its configuration can't be used.
        """
        self.run = RunFolder.open(path)
        self.name = path.resolve().name
        self._archive = archive
        self._number = number
        self._games = LineTail(path / "games.jsonl")
        self._heldout_games = LineTail(path / "heldout_games.jsonl")
        self._metrics = LineTail(path / "metrics.jsonl")
        self._recorded: dict[int, Metrics] = {}
        self._derived: dict[int, Metrics] = {}
        self._sealed: list[StepFigures] = []
        self._current: list[Game] = []
        self._current_figures: StepFigures | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the run was cut back to an earlier step, so that everything must be read anew."""
        return self._games.is_cut or self._heldout_games.is_cut or self._metrics.is_cut

    @property
    def has_half_line(self) -> bool:
        """Whether a file ended, when last read, in a half-written line, which is left out."""
        return any(tail.has_half_line for tail in (self._games, self._heldout_games, self._metrics))

    def refresh(self) -> bool:
        """Read what is new. Returns whether there was anything.

        Raises:
            DataError: a file is damaged.
            RunFolderError: the run is gone.
        """
        # A run that is resumed may get more steps.
        self.run = RunFolder.open(self.run.path)
        is_new = False
        # Metrics first: those of a step are there before the next step's games.
        for line in self._metrics.read(StepMetrics):
            self._recorded[line.step] = self._recorded.get(line.step, {}) | line.values
            is_new = True
        for game in self._games.read(Game):
            self._take(game)
            is_new = True
        if self._archive is not None:
            for game in self._heldout_games.read(Game):
                self._archive.add(game, run=self._number, is_heldout=True)
                is_new = True
        return is_new

    def steps(self) -> list[StepFigures]:
        """The counts of each step so far; the last may still grow."""
        return [*self._sealed, *([self._figures_of_current()] if self._current else [])]

    def metrics(self) -> dict[int, Metrics]:
        """The metrics of each step, from its line or from its games; step -1 is before training."""
        found = {step: dict(values) for step, values in self._derived.items()}
        if self._current and self._lacks_game_metrics(self._current_step):
            found[self._current_step] = game_metrics(self._current)
        for step, values in self._recorded.items():
            found[step] = found.get(step, {}) | values
        return dict(sorted(found.items()))

    def traces(self) -> Traces:
        """How the run stands."""
        played = max([*self._recorded, *(figures.step for figures in self.steps())], default=-1)
        return traces_of(self.run, played + 1)

    @property
    def _current_step(self) -> int:
        return self._current[0].spec.step

    def _take(self, game: Game) -> None:
        if self._archive is not None:
            self._archive.add(game, run=self._number)
        if self._current and self._current_step != game.spec.step:
            self._seal()
        self._current.append(game)
        self._current_figures = None

    def _seal(self) -> None:
        self._sealed.append(self._figures_of_current())
        if self._lacks_game_metrics(self._current_step):
            self._derived[self._current_step] = game_metrics(self._current)
        self._current = []

    def _figures_of_current(self) -> StepFigures:
        if self._current_figures is None:
            self._current_figures = step_figures(self._current_step, self._current)
        return self._current_figures

    def _lacks_game_metrics(self, step: int) -> bool:
        """Whether no line of the step's metrics tells of its games, as where another engine wrote it."""
        return "games/all" not in self._recorded.get(step, {})
