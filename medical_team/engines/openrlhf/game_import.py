"""Games played inside OpenRLHF, brought into the run folder's own files.

What the rollout engines wrote is never changed, and decides everything: a game that is not yet in the run's file is
added, whatever happened to an earlier import. A step's games arrive before the next step's, so they are appended; one
that arrives late (a shared file system may show it late) has the file written anew, in the order of the steps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ...errors import DataError
from ...evaluation.heldout import heldout_metrics, heldout_specs
from ...files import atomic_text
from ...game_config import Assessor
from ...jsonl import from_line, shortened, to_line, validation_problems
from ...metrics.step_metrics import PLAY_PHASE, game_metrics, generated_tokens
from ...records import LIVING, Game, Role
from ...runs.append import GAMES_FILE, HELDOUT_GAMES_FILE
from ...runs.folder import RunFolder
from ..command import EngineFiles
from .game_files import PATTERN, SECOND, GameCount, PlayedGame

_GAMES_AT_ONCE = 64

_LineT = TypeVar("_LineT")


def import_games(run: RunFolder, *, is_over: bool = False) -> int:
    """Bring the games that rollout engines have written into ``games.jsonl`` and ``heldout_games.jsonl``.

    May be called while the engines play, and again: no game is lost, none is doubled. Metrics that follow from games
    go to ``metrics.jsonl``, a line for each step that is complete. The caller holds the run's lock
    (:meth:`RunFolder.locked`).

    Args:
        run: where the games are, and where they go.
        is_over: the engines play no more. Until then the last step waits, where games in place of others may follow.

    Returns:
        How many games are new.

    Raises:
        DataError: a file is damaged; the line is named.
        OutputError: a file can't be written.
    """
    folder = EngineFiles.of(run.path).folder
    if not any(folder.glob(PATTERN)):
        return 0
    entries = _entries(folder)
    training = {entry.id: entry for entry in entries if not entry.is_heldout}
    heldout = {entry.id: entry for entry in entries if entry.is_heldout}
    # Held-out games first: a step's metrics wait for them.
    new = _merge(run.path / HELDOUT_GAMES_FILE, heldout, run.append_heldout_games)
    new += _merge(run.path / GAMES_FILE, training, run.append_games)
    _append_metrics(run, training.values(), heldout.values(), is_over=is_over)
    return new


@dataclass(frozen=True)
class _Spec:
    id: str
    step: int


@dataclass(frozen=True)
class _Game:
    """What merging needs of a game; its other fields are skipped."""

    spec: _Spec


@dataclass(frozen=True)
class _Played:
    attempt: int
    is_heldout: bool
    game: _Game


@dataclass(frozen=True)
class _Entry:
    """Where a played game lies."""

    path: Path
    offset: int
    id: str
    step: int
    is_heldout: bool

    @property
    def played(self) -> PlayedGame:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return _parsed(file.readline(), PlayedGame, self.path, self.offset)


def _entries(folder: Path) -> list[_Entry]:
    """The games of the attempts that count, in the order of their steps."""
    entries: list[_Entry] = []
    # After the lines: an attempt that begins meanwhile may only leave more out.
    lines = [(path, *line) for path in sorted(folder.glob(PATTERN)) for line in _lines(path, _Played)]
    attempts = GameCount(folder).attempts()
    for path, offset, played in lines:
        spec = played.game.spec
        if not attempts.is_superseded(played.attempt, spec.step):
            entries.append(_Entry(path, offset, spec.id, spec.step, played.is_heldout))
    return sorted(entries, key=lambda entry: (entry.step, entry.id))


def _lines(path: Path, line_type: type[_LineT]) -> Iterator[tuple[int, _LineT]]:
    """The whole lines of ``path`` with where they begin; one that is being written waits."""
    if not path.exists():
        return
    offset = 0
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield offset, _parsed(line, line_type, path, offset)
                offset += len(line)
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error


def _parsed(line: bytes, line_type: type[_LineT], path: Path, offset: int) -> _LineT:
    try:
        return from_line(line, line_type)
    except ValidationError as error:
        problems = [f"the line at byte {offset}: {problem}" for problem in validation_problems(error)]
        raise DataError(f"{path} is damaged:", shortened(problems)) from error


def _merge(path: Path, entries: dict[str, _Entry], append: Callable[[Iterable[Game]], None]) -> int:
    """Bring ``entries``, which are in order, into ``path``. Returns how many were not there."""
    known = [(offset, line.spec) for offset, line in _lines(path, _Game)]
    known_ids = {spec.id for _, spec in known}
    new = [entry for entry in entries.values() if entry.id not in known_ids]
    if not new:
        return 0
    last_step = max((spec.step for _, spec in known), default=new[0].step)
    if new[0].step < last_step or _has_half_line(path):
        _write_anew(path, known, new)
        return len(new)
    games = (entry.played.game for entry in new)
    while batch := list(islice(games, _GAMES_AT_ONCE)):
        append(batch)
    return len(new)


def _has_half_line(path: Path) -> bool:
    """Whether an import was killed while it wrote."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"


def _write_anew(path: Path, known: Sequence[tuple[int, _Spec]], new: Sequence[_Entry]) -> None:
    places: list[tuple[int, _Entry | int]] = [(spec.step, offset) for offset, spec in known]
    places.extend((entry.step, entry) for entry in new)
    with atomic_text(path) as file:
        for _, place in sorted(places, key=lambda item: item[0]):
            if isinstance(place, _Entry):
                file.write(to_line(place.played.game).encode(errors="replace").decode() + "\n")
                continue
            with path.open("rb") as old:
                old.seek(place)
                file.write(old.readline().decode())


def _append_metrics(run: RunFolder, training: Iterable[_Entry], heldout: Iterable[_Entry], *, is_over: bool) -> None:
    """Write the metrics of the steps that are complete, in order, up to the first that is not."""
    done = max((line.step for line in run.metrics()), default=-1)
    steps, evaluations = _by_step(training), _by_step(heldout)
    last = max(steps, default=-1)
    for step in range(done + 1, last + 1):
        games, evaluated = steps.get(step, []), evaluations.get(step, [])
        if step == last and not _is_complete(run, step, games, evaluated):
            return
        # An evaluation comes after all games of its step.
        if step == last and not (is_over or evaluated) and any(map(_may_be_replaced, games)):
            return
        if games:
            replacements = _replacements(games, run.config.training.games_per_step)
            run.append_metrics(step, _metrics(games, evaluated, run.config.game.assessor) | replacements)


def _by_step(entries: Iterable[_Entry]) -> dict[int, list[_Entry]]:
    steps: defaultdict[int, list[_Entry]] = defaultdict(list)
    for entry in entries:
        steps[entry.step].append(entry)
    return steps


def _is_complete(run: RunFolder, step: int, games: Sequence[_Entry], evaluated: Sequence[_Entry]) -> bool:
    """Whether the last step has all its games, and those of its evaluation, where one is due."""
    config = run.config
    # Games in place of others have the numbers behind those of the step.
    places = {number for entry in games if (number := _number_in_step(entry)) < config.training.games_per_step}
    if len(places) < config.training.games_per_step:
        return False
    if (step + 1) % config.checkpoints.evaluate_every:
        return True
    expected = heldout_specs(
        run.heldout_records(), games=config.checkpoints.evaluation_games, seed=config.training.seed, step=step
    )
    return len(evaluated) >= len(expected)


def _may_be_replaced(entry: _Entry) -> bool:
    """Whether a role that the policy plays has no reward, so that other games may still be played in its place."""
    game = entry.played.game
    roles = tuple(Role) if game.spec.data_type.is_adversarial else (Role.ASSESSOR,)
    return len(game.rewards) < sum(game.spec.version_of(role) == LIVING for role in roles)


def _number_in_step(entry: _Entry) -> int:
    return int(entry.id.removesuffix(SECOND).rpartition("-")[2])


def _replacements(games: Sequence[_Entry], games_per_step: int) -> dict[str, float]:
    """How many games of each category were played in place of others that left nothing to learn from."""
    counts = Counter(entry.played.game.spec.data_type for entry in games if _number_in_step(entry) >= games_per_step)
    return {f"replacements/{data_type.value}": float(count) for data_type, count in counts.items()}


def _metrics(games: Sequence[_Entry], evaluated: Sequence[_Entry], asked: Assessor) -> dict[str, float]:
    played = [entry.played for entry in games]
    step_games = [item.game for item in played]
    seconds = max(item.finished for item in played) - min(item.started for item in played)
    metrics = game_metrics(step_games) | {f"seconds/{PLAY_PHASE}": seconds}
    if seconds > 0:
        metrics["speed/tokens_per_second"] = generated_tokens(step_games) / seconds
    return metrics | heldout_metrics([entry.played.game for entry in evaluated], asked)
