"""What can go wrong and is the user's to mend: one tree, each class a standard-library error too.

A message says what was wrong, where, what was expected and which option to set. The command line prints it
without a traceback and exits with 2. What goes wrong inside a game is not here: it is data
(:class:`.records.GameState`, :class:`.records.JudgeFailure`).
"""

from __future__ import annotations

from collections.abc import Sequence

NO_SUCH_HOME = "Could not determine home directory."
"""What pathlib's RuntimeError says of a path that begins with ``~name``, of a user whom the machine doesn't know."""


class MedicalTeamError(Exception):
    """The root of every error that the package raises on purpose."""


class UsageError(MedicalTeamError, ValueError):
    """An argument can't be used as it was given."""


class ProblemsError(MedicalTeamError, ValueError):
    """Several problems of one thing, reported at once."""

    def __init__(self, headline: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join([headline, *(f"  - {problem}" for problem in problems)]))
        self.headline = headline
        self.problems = tuple(problems)


class DataError(ProblemsError):
    """A data file doesn't hold what it should."""


class ConfigError(ProblemsError):
    """A run's configuration has unknown keys, wrong types or values out of bounds."""


class RunFolderError(MedicalTeamError, OSError):
    """A run folder can't be opened, locked, read or written."""


class OutputError(MedicalTeamError, OSError):
    """An output file can't be written."""


class PolicyError(MedicalTeamError, RuntimeError):
    """A model or tokenizer can't be loaded or used as a policy."""


class ModelUnavailableError(PolicyError):
    """A model is nowhere on this machine and can't be fetched, for example because there is no network."""


class VllmError(PolicyError):
    """A vLLM engine failed."""


class VllmUnavailableError(VllmError):
    """vLLM is not installed, or doesn't start with this model."""


class JudgeError(MedicalTeamError, RuntimeError):
    """A judge can't be set up. (A judge that fails on a game gives a JudgeFailure instead.)"""


class EndpointError(MedicalTeamError, ConnectionError):
    """A model server can't be reached, refuses, or speaks another language."""


class TrainingError(MedicalTeamError, RuntimeError):
    """Training can't go on, for example because a loss is not finite."""


class EngineError(MedicalTeamError, RuntimeError):
    """A training engine is not installed, refuses its command line, or ended with an error."""


class MissingDependencyError(MedicalTeamError, ImportError):
    """An optional library is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed. Install it with: pip install 'medical-team[{extra}]'")
