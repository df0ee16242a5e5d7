"""Which folder is a run's, and what is known of a run besides its configuration."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from .. import __version__
from ..errors import RunFolderError, UsageError
from ..files import cannot_write
from ..jsonl import from_line, validation_problems
from ..records import Closed
from ..terminal_text import shell_word
from .append import CONFIG_FILE, GAMES_FILE, HELDOUT_GAMES_FILE, INFO_FILE, METRICS_FILE
from .places import folder_around, is_run

FORMAT = 2

RunKind = Literal["self-play", "warm-start"]


@dataclass(frozen=True)
class _Written:
    """What every format says."""

    format: int
    package_version: str


@dataclass(frozen=True)
class RunInfo(Closed):
    """What made a run."""

    format: int
    package_version: str
    versions: dict[str, str]
    """Versions of Python and of the libraries, by name."""
    created: str
    """ISO 8601, UTC."""
    hardware: dict[str, str] = field(default_factory=dict[str, str])
    """What it ran on, by part; empty where nobody said."""
    kind: RunKind = "self-play"
    """Self-play, or a warm start, which learns from demonstrations and plays games for its evaluations alone."""
    models_beside: dict[str, str] = field(default_factory=dict[str, str])
    """The way from the run's folder to each model that is a folder, by the section of the configuration that names it:
    by this it is found where both were moved together."""
    data_sha256: dict[str, str] = field(default_factory=dict[str, str])
    """Of the files under ``data``, by name."""


def check_is_run(path: Path) -> None:
    """Check that ``path`` is the folder of a run.

    Raises:
        RunFolderError: it is not; where it lies inside of a run, that is named.
    """
    if is_run(path):
        return
    if (around := folder_around(path)) is not None:
        raise RunFolderError(f"{path} is a part of a run. Name the folder of the run: {around}")
    reason = f"it has no {INFO_FILE}" if path.is_dir() else "it is a file" if path.is_file() else "it is not there"
    raise RunFolderError(f"{path} is no run folder: {reason}.")


_PARTS = frozenset(
    {
        INFO_FILE, CONFIG_FILE, "lock", GAMES_FILE, HELDOUT_GAMES_FILE, METRICS_FILE,
        "abandoned", "checkpoints", "data", "engine", "final", "opponents", "tensorboard", "tracking",
    }
)  # fmt: skip
"""What a run writes itself, in its folder."""


def check_output(output: Path, *inputs: Path) -> None:
    """Check that what is written to ``output`` takes the place of nothing that is read, and of no part of a run.

    Raises:
        UsageError: it does, or would lie inside of such a part.
    """
    # Not by Path.resolve, which raises at a loop of links.
    place = Path(os.path.realpath(output))
    if any(place == Path(os.path.realpath(read)) for read in inputs):
        raise UsageError(f"{output} is what is read; name another file to write")
    around = folder_around(place)
    if around is not None and place.relative_to(around).parts[0] in _PARTS:
        raise UsageError(
            f"{output} belongs to the run {around}, which would lose what it holds; name another file to write, or "
            "another folder"
        )


def check_is_free(path: Path) -> None:
    """Check that a run can be created at ``path``, before the slow preparations for it.

    Raises:
        RunFolderError: there is a run, or something else, at ``path``.
        OutputError: the system won't even say.
    """
    place = Path(os.path.realpath(path))
    around = folder_around(place)
    if around is not None and place.relative_to(around).parts[0] in _PARTS:
        raise RunFolderError(f"{path} lies among what belongs to the run {around}: name a folder outside of it.")
    try:
        problem = _problem_at(path, place)
    except OSError as error:
        # A name that is too long, or a folder of others.
        raise cannot_write(path, error) from error
    if problem is not None:
        raise RunFolderError(problem)


def _problem_at(path: Path, place: Path) -> str | None:
    """Why there can be no new run at ``path``, which is ``place`` in truth."""
    if (path / INFO_FILE).exists():
        return f"{path} already holds a run. Continue it with --resume, or name another folder."
    if path.is_dir():
        foreign = next(iter(sorted(entry.name for entry in path.iterdir())), None)
        if foreign is not None:
            return f"{path} holds other files, such as {foreign}. Name a new or empty folder for the run."
    elif path.exists() or path.is_symlink():
        return f"{path} is no folder. Name a new or empty folder for the run."
    above = next((parent for parent in place.parents if parent.exists()), None)
    if above is not None and not above.is_dir():
        return f"{above} is a file, where a folder should be. Name another folder for the run."
    return None


def read_info(path: Path) -> RunInfo:
    """What is known of the run at ``path``.

    Raises:
        RunFolderError: there is no run, or one of another format.
    """
    check_is_run(path)
    try:
        content = (path / INFO_FILE).read_bytes()
    except OSError as error:
        raise RunFolderError(f"{path / INFO_FILE} can't be read: {error.strerror or error}.") from error
    try:
        written = from_line(content, _Written)
        if written.format != FORMAT:
            raise RunFolderError(
                f"{path} has format {written.format}, written by version {written.package_version}; this is version "
                f"{__version__}, which reads format {FORMAT}. Go on with what wrote it, or begin a new run: "
                f"medical-team train {shell_word(path / CONFIG_FILE)}"
            )
        return from_line(content, RunInfo)
    except ValidationError as error:
        problems = "; ".join(validation_problems(error))
        raise RunFolderError(f"{path / INFO_FILE} is damaged: {problems}.") from error
