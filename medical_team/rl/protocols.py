"""The parts that the training loop is handed, beside rollout and judge, and what flows between them; who is told
how a run goes, and what a step is doing and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..demonstrations.draw import Demonstration
from ..records import Game
from ..runs.folder import RunFolder
from ..samples import Sample, Update


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


@dataclass(frozen=True)
class Experience:
    """What the policy learns from in one step."""

    learning_rate: float
    samples: tuple[Sample, ...] = ()
    """The trained turns of ``games``."""
    games: tuple[Game, ...] = ()
    """Played, ruled on and scored."""
    demonstrations: tuple[Demonstration, ...] = ()
    demonstration_coefficient: float = 1.0
    """The weight of the supervised loss on the demonstrations."""


class ExperienceSource(Protocol):
    """Where the loop gets the experience of each step."""

    def collect(self, step: int, timer: StepTimer) -> Experience:
        """The experience of ``step``: a pure function of data, seed, step and what the policy says."""
        ...


class Learner(Protocol):
    """What learns. :class:`.learner.ReinforceLearner` is the real one."""

    def learn(self, experience: Experience, step: int) -> Update:
        """Take the optimizer updates of one step.

        Raises:
            TrainingError: a loss or gradient is not finite; the weights are as before that update.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write what :meth:`restore` needs, with the policy as a Hugging Face folder in ``policy/``."""
        ...

    def save_policy(self, folder: Path) -> None:
        """Write the policy alone, as a checkpoint's ``policy/`` holds it."""
        ...

    def restore(self, folder: Path) -> None:
        """Take over what :meth:`save` wrote."""
        ...

    def export(self, folder: Path) -> None:
        """Write the trained model as one whole Hugging Face folder. Nothing can be learnt afterwards."""
        ...

    def device_metrics(self) -> Mapping[str, float]:
        """What the step took of its device, under the names of :mod:`..metrics.step_metrics`."""
        ...


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
