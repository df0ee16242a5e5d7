"""The parts that the training loop is handed, beside rollout and judge, and what flows between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..demonstrations.draw import Demonstration
from ..records import Game, Sample, Update
from .step_timer import StepTimer


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
