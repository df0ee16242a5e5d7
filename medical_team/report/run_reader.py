"""Reading a run for its report: one pass over its games, and again over what is new while it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from ..records import Game
from ..runs.folder import RunFolder, StepMetrics
from .facts import DataFacts, data_facts
from .figures import StepFigures, step_figures
from .game_rows import GameArchive
from .metrics import game_metrics
from .run_state import Traces, traces_of
from .tail import LineTail

Metrics = dict[str, float]


class RunReader:
    """What a run's report is made from. The run may still be going on, or have been cut off at any place.

    A run without ``metrics.jsonl``, as another engine may leave it, gets the metrics that follow from its games.
    """

    def __init__(self, path: Path, archive: GameArchive | None = None, *, number: int = 0) -> None:
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

    @cached_property
    def data(self) -> DataFacts:
        """What the run's notes are; they never change."""
        return data_facts(self.run)

    @property
    def is_cut(self) -> bool:
        """Whether the run was cut back to an earlier step, so that everything must be read anew."""
        return self._games.is_cut or self._heldout_games.is_cut or self._metrics.is_cut

    def refresh(self) -> None:
        """Read what is new.

        Raises:
            DataError: a file is damaged.
            RunFolderError: the run is gone.
        """
        # A run that is resumed may get more steps.
        self.run = RunFolder.open(self.run.path)
        # Metrics first: those of a step are there before the next step's games.
        for line in self._metrics.read(StepMetrics):
            self._recorded[line.step] = self._recorded.get(line.step, {}) | line.values
        for game in self._games.read(Game):
            self._take(game)
        for game in self._heldout_games.read(Game):
            if self._archive is not None:
                self._archive.add(game, run=self._number, is_heldout=True)

    def steps(self) -> list[StepFigures]:
        """The counts of each step so far; the last may still grow."""
        return [*self._sealed, *([self._current_figures()] if self._current else [])]

    def metrics(self) -> dict[int, Metrics]:
        """The metrics of each step, from its line or from its games; step -1 is before training."""
        found = {step: dict(values) for step, values in self._derived.items()}
        if self._current and self._current[0].spec.step not in self._recorded:
            found[self._current[0].spec.step] = game_metrics(self._current)
        for step, values in self._recorded.items():
            found[step] = found.get(step, {}) | values
        for figures in self.steps():
            found[figures.step] = found.get(figures.step, {}) | _own_metrics(figures)
        return dict(sorted(found.items()))

    def traces(self) -> Traces:
        """How the run stands."""
        played = max([*self._recorded, *(figures.step for figures in self.steps())], default=-1)
        return traces_of(self.run, played + 1)

    def _take(self, game: Game) -> None:
        if self._archive is not None:
            self._archive.add(game, run=self._number)
        if self._current and self._current[0].spec.step != game.spec.step:
            self._seal()
        self._current.append(game)

    def _seal(self) -> None:
        figures = self._current_figures()
        self._sealed.append(figures)
        if "games/all" not in self._recorded.get(figures.step, {}):
            self._derived[figures.step] = game_metrics(self._current)
        self._current = []

    def _current_figures(self) -> StepFigures:
        return step_figures(self._current[0].spec.step, self._current)


def _own_metrics(figures: StepFigures) -> Metrics:
    """What the report adds to a step's metrics."""
    return dict(_own_metric_items(figures))


def _own_metric_items(figures: StepFigures) -> Iterator[tuple[str, float]]:
    revisions = figures.revisions
    if revisions.notes:
        yield "revisions/near_duplicate_share", revisions.near_duplicates / revisions.notes
        yield "revisions/length_kept_share", revisions.length_kept / revisions.notes
        yield "revisions/words_kept_share", revisions.words_kept / revisions.notes
    yield from _source_shares(figures.sources)


def _source_shares(sources: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    rulings = sum(sources.values())
    for source, count in sources.items():
        yield f"judge_source/{source}", count / rulings
