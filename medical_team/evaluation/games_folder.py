"""The folder of one model's held-out games. What lies in it:

games.json       GamesSettings: what was played
games.jsonl      one Game a line; the id's beginning says which role the model played: self, attack, assess
metrics.json     the figures
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ..errors import DataError, UsageError
from ..files import atomic_folder
from ..jsonl import from_line, read_jsonl, validation_problems, write_jsonl
from ..metrics.statistics import Figure
from ..records import Closed, Game
from .model_identity import ModelIdentity

FORMAT = 1

SETTINGS = "games.json"
_GAMES = "games.jsonl"
_METRICS = "metrics.json"


@dataclass(frozen=True)
class GamesSettings(Closed):
    """What was played: enough to play it again, and to tell two evaluations apart."""

    format: int
    package_version: str
    model: ModelIdentity
    opponent: ModelIdentity | None
    """Who played the other role; None: the model itself."""
    judge: str
    records: str
    """The file of the held-out records."""
    records_sha256: str
    games: int
    """Games asked for; each category has the same share."""
    seed: int
    prompt_date: str | None = None
    """The day that the model's chat template was told; None where an older version didn't write it down."""


@dataclass(frozen=True)
class PlayedGames:
    """One model's games, read back."""

    settings: GamesSettings
    games: tuple[Game, ...]


def refuse_occupied(path: Path) -> None:
    """Check that games can be written to ``path``, before the slow playing of them.

    Raises:
        UsageError: something lies there.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} is there already: name a new or empty folder with -o")


def write_games(path: Path, settings: GamesSettings, games: Sequence[Game], figures: Mapping[str, Figure]) -> None:
    """Write the folder, which appears whole or not at all.

    Raises:
        OutputError: it can't be written.
    """
    described = dataclasses.asdict(settings)
    values = {name: dataclasses.asdict(figure) for name, figure in figures.items()}
    with atomic_folder(path, replace=False) as folder:
        (folder / SETTINGS).write_text(_json(described), encoding="utf-8")
        (folder / _METRICS).write_text(_json({"settings": described, "figures": values}), encoding="utf-8")
        write_jsonl(folder / _GAMES, games)


def read_games(path: Path) -> PlayedGames:
    """The games at ``path``.

    Raises:
        DataError: there are none, or a file is damaged.
    """
    try:
        settings = from_line((path / SETTINGS).read_bytes(), GamesSettings)
    except OSError as error:
        problem = f"it has no readable {SETTINGS}; `medical-team eval games` makes such a folder"
        raise DataError(f"{path} holds no games:", [problem]) from error
    except ValidationError as error:
        raise DataError(f"{path / SETTINGS} is damaged or of another version:", validation_problems(error)) from error
    return PlayedGames(settings, tuple(read_jsonl(path / _GAMES, Game)))


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
