"""The files into which rollout engines write their games: one for each process, append-only, whole lines.

They lie in the engine's folder of the run, under names that no two processes share, so that many machines can write to
one shared file system without waiting for each other. :mod:`.game_import` brings them together.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from ...files import cannot_write
from ...jsonl import to_line
from ...records import Closed, Game, Role
from ...runs.append import LineTail, append_lines

PATTERN = "games-*.jsonl"
"""The names of the files of games."""

SECOND = "-second"
"""How the id of the other sibling's game ends, where two assessors read one note apart from each other."""

_UNUSUAL = re.compile(r"[^A-Za-z0-9.]+")


@dataclass(frozen=True)
class PlayedGame(Closed):
    """One game as it was played inside an engine: a line of a part file."""

    attempt: int
    """Which attempt of the run played it, counted from 0; a resume begins another."""
    is_heldout: bool
    started: float
    """Seconds since 1970, by the clock of the machine that played."""
    finished: float
    game: Game
    attacker_baseline: float | None = None
    """What was subtracted from the attacker's total reward; None where nothing was."""
    assessor_baseline: float | None = None

    def baseline_of(self, role: Role) -> float | None:
        """What was subtracted from the total reward of ``role``."""
        return self.attacker_baseline if role is Role.ATTACKER else self.assessor_baseline


@dataclass(frozen=True)
class Problem(Closed):
    """Why a call could not play any game."""

    time: float
    label: str
    reason: str


def read_part_files(folder: Path) -> Iterator[PlayedGame]:
    """All games in the part files of ``folder``, file by file. A line that is being written is passed over.

    Raises:
        DataError: a line is damaged.
    """
    for path in sorted(folder.glob(PATTERN)):
        yield from LineTail(path).read(PlayedGame)


class GameFiles:
    """The part files of this process in ``folder``. A file appears with its first line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._games: Path | None = None
        self._problems: Path | None = None

    def write(self, played: PlayedGame) -> None:
        """Append a game; it is on the disk when this returns.

        Raises:
            ValueError: it holds a number that is not finite.
            OutputError: it can't be written.
        """
        line = to_line(played)
        self._games = self._games or self._new_file("games")
        append_lines(self._games, [line])

    def write_problem(self, problem: Problem) -> None:
        """Append a problem; raises as :meth:`write` does."""
        self._problems = self._problems or self._new_file("problems")
        append_lines(self._problems, [to_line(problem)])

    def _new_file(self, kind: str) -> Path:
        host = _UNUSUAL.sub("-", socket.gethostname())
        stem = f"{kind}-{host}-{os.getpid()}"
        # Containers give their processes the same number again and again.
        names = chain([f"{stem}.jsonl"], (f"{stem}-{number}.jsonl" for number in count(2)))
        return next(path for path in map(self._folder.joinpath, names) if _is_made(path))


def _is_made(path: Path) -> bool:
    """Make the file ``path``; False where there is one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        return False
    except OSError as error:
        raise cannot_write(path, error) from error
    return True
