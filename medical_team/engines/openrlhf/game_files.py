"""What all rollout engines of a run share through files: the games, one file for each process, append-only; their
count, so that a game knows its number; and the running mean of each role's rewards."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from ...errors import DataError, OutputError
from ...jsonl import from_line, to_line, validation_problems
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


def read_part_files(folder: Path) -> Iterator[PlayedGame]:
    """All games in the part files of ``folder``, file by file. A line that is being written is passed over.

    Raises:
        DataError: a line is damaged.
    """
    for path in sorted(folder.glob(PATTERN)):
        yield from LineTail(path).read(PlayedGame)


class GameFiles:
    """The part file of this process in ``folder``. It appears with its first line."""

    def __init__(self, folder: Path) -> None:
        host = _UNUSUAL.sub("-", socket.gethostname())
        # By chance, and not by the process's number: containers give theirs the same again and again.
        self._games = folder / f"games-{host}-{uuid4().hex[:12]}.jsonl"

    def write(self, played: PlayedGame) -> None:
        """Append a game; it is on the disk when this returns.

        Raises:
            ValueError: it holds a number that is not finite.
            OutputError: it can't be written.
        """
        append_lines(self._games, [to_line(played)])


COUNT_FILE = "count.json"

_MOST_BYTES = 65536


@dataclass(frozen=True)
class Attempts(Closed):
    """The state of the count, as the file holds it."""

    first_steps: tuple[int, ...] = (0,)
    """The step at which each attempt began: the first at 0, then one for each resume."""
    next_game: int = 0

    def is_superseded(self, attempt: int, step: int) -> bool:
        """Whether a later attempt played ``step`` of ``attempt`` again."""
        return any(first_step <= step for first_step in self.first_steps[attempt + 1 :])


@dataclass(frozen=True)
class Place:
    """Which game is played."""

    attempt: int
    number: int
    """Among all games of the run, counted from 0."""


class GameCount:
    """The count in the engine's folder of a run. Each call holds a lock on the file, for which it may wait.

    A file that is locked is read anew on file systems that several machines share.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / COUNT_FILE

    def take(self) -> Place:
        """The place of the next game, which is then taken.

        Raises:
            DataError: the file is damaged.
            OutputError: it can't be written.
        """
        with self._locked() as handle:
            state = self._read(handle)
            self._write(handle, replace(state, next_game=state.next_game + 1))
        return Place(len(state.first_steps) - 1, state.next_game)

    def attempts(self) -> Attempts:
        """How the count stands; raises as :meth:`take` does."""
        with self._locked() as handle:
            return self._read(handle)

    def resume(self, first_step: int, games_per_step: int) -> None:
        """Begin another attempt at ``first_step``; raises as :meth:`take` does."""
        with self._locked() as handle:
            state = self._read(handle)
            self._write(handle, Attempts((*state.first_steps, first_step), first_step * games_per_step))

    @contextmanager
    def _locked(self) -> Generator[int]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            os.close(handle)

    def _unusable(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(
            f"{self._path} can't be used: {reason}. All machines of a run need its folder at the same path, on a file "
            "system that has locks and lets them write."
        )

    def _read(self, handle: int) -> Attempts:
        content = os.pread(handle, _MOST_BYTES, 0)
        if not content:
            return Attempts()
        try:
            return from_line(content, Attempts)
        except ValidationError as error:
            raise DataError(f"{self._path} is damaged:", validation_problems(error)) from error

    def _write(self, handle: int, state: Attempts) -> None:
        content = f"{to_line(state)}\n".encode()
        os.pwrite(handle, content, 0)
        os.ftruncate(handle, len(content))
        os.fsync(handle)


DECAY = 0.95


class RoleBaselines:
    """The running means. They take only what is given: no reward, no update."""

    def __init__(self) -> None:
        self._means = dict.fromkeys(Role, 0.0)

    def take(self, role: Role, reward: float) -> float:
        """The baseline to subtract from ``reward``, which then moves it."""
        baseline = self._means[role]
        self._means[role] = _moved(baseline, reward)
        return baseline

    def resume(self, games: Iterable[PlayedGame]) -> None:
        """Go on from where the latest of ``games`` left each role's baseline."""
        latest = dict.fromkeys(Role, float("-inf"))
        for played in games:
            for reward in played.game.rewards:
                baseline = played.baseline_of(reward.role)
                if baseline is not None and played.finished >= latest[reward.role]:
                    latest[reward.role] = played.finished
                    self._means[reward.role] = _moved(baseline, reward.total)


def _moved(mean: float, reward: float) -> float:
    return DECAY * mean + (1 - DECAY) * reward
