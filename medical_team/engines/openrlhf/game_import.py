"""Games played inside OpenRLHF, brought into the run folder's own files.

What the rollout engines wrote is never changed, and decides everything: a game that is not yet in the run's file is
added, whatever happened to an earlier import. A step's games arrive before the next step's, so they are appended; one
that arrives late (a shared file system may show it late) has the file written anew, in the order of the steps.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...evaluation.heldout import heldout_metrics, heldout_specs
from ...files import atomic_text
from ...jsonl import from_line, to_line
from ...metrics.step_metrics import PLAY_PHASE, game_metrics, generated_tokens
from ...records import LIVING, Game, Role
from ...runs.append import GAMES_FILE, HELDOUT_GAMES_FILE, LineTail, append_lines, read_lines
from ...runs.folder import RunFolder
from ..command import EngineFiles
from .game_files import PATTERN, SECOND, GameCount, PlayedGame


@dataclass(frozen=True)
class _Spec:
    id: str
    step: int


@dataclass(frozen=True)
class _GameLine:
    """What merging needs of a game; its other fields are skipped."""

    spec: _Spec


class GameImport:
    """Brings the games that rollout engines write into ``games.jsonl`` and ``heldout_games.jsonl`` of ``run``.

    Metrics that follow from games go to ``metrics.jsonl``, a line for each step that is complete. Whoever makes one
    holds the run's lock (:meth:`RunFolder.locked`) as long as it is used, and resumes the run before, not meanwhile.

    Raises:
        DataError: a file is damaged.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._folder = EngineFiles(run.path).folder
        self._attempts = GameCount(self._folder).attempts()
        self._tails: dict[Path, LineTail] = {}
        # Held-out games first: a step's metrics wait for them.
        self._files = [_GameFile(run.path / HELDOUT_GAMES_FILE), _GameFile(run.path / GAMES_FILE)]
        self._next_step = max((line.step for line in run.metrics()), default=-1) + 1
        # Of steps without metrics, by their ids. No other games are kept in memory.
        self._steps: defaultdict[int, dict[str, PlayedGame]] = defaultdict(dict)

    def bring(self, *, is_over: bool = False) -> None:
        """Bring in what was written since the last call. No game is lost, none is doubled.

        Args:
            is_over: the engines play no more. Until then the last step's metrics wait for games in place of others.

        Raises:
            DataError: a file is damaged; the line is named.
            OutputError: a file can't be written.
        """
        for path in sorted(self._folder.glob(PATTERN)):
            for played in self._tails.setdefault(path, LineTail(path)).read(PlayedGame):
                spec = played.game.spec
                if self._attempts.is_superseded(played.attempt, spec.step):
                    continue
                self._files[0 if played.is_heldout else 1].receive(played.game)
                if spec.step >= self._next_step:
                    self._steps[spec.step][spec.id] = played
        for file in self._files:
            file.write()
        self._append_metrics(is_over=is_over)

    def _append_metrics(self, *, is_over: bool) -> None:
        """Write the metrics of the steps that are complete, in order, up to the first that is not."""
        waiting = [played for games in self._steps.values() for played in games.values()]
        last = max((played.game.spec.step for played in waiting if not played.is_heldout), default=-1)
        for step in range(self._next_step, last + 1):
            evaluated = [played for played in self._steps[step].values() if played.is_heldout]
            games = [played for played in self._steps[step].values() if not played.is_heldout]
            if step == last and not self._is_complete(step, games, evaluated, is_over=is_over):
                return
            if games:
                self._run.append_metrics(step, self._metrics(games, evaluated))
            del self._steps[step]
            self._next_step = step + 1

    def _is_complete(
        self, step: int, games: Sequence[PlayedGame], evaluated: Sequence[PlayedGame], *, is_over: bool
    ) -> bool:
        """Whether the last step has all its games, and those of its evaluation, where one is due."""
        config = self._run.config
        games_per_step = config.training.games_per_step
        # Games in place of others have the numbers behind those of the step.
        if len({number for played in games if (number := _number_in_step(played)) < games_per_step}) < games_per_step:
            return False
        if (step + 1) % config.checkpoints.evaluate_every == 0:
            asked, seed = config.checkpoints.evaluation_games, config.training.seed
            if len(evaluated) < len(heldout_specs(self._run.heldout_records(), games=asked, seed=seed, step=step)):
                return False
        # An evaluation comes after all games of its step.
        return is_over or bool(evaluated) or not any(map(_may_be_replaced, games))

    def _metrics(self, games: Sequence[PlayedGame], evaluated: Sequence[PlayedGame]) -> dict[str, float]:
        config = self._run.config
        step_games = [played.game for played in games]
        seconds = max(played.finished for played in games) - min(played.started for played in games)
        metrics = game_metrics(step_games) | {f"seconds/{PLAY_PHASE}": seconds}
        if seconds > 0:
            metrics["speed/tokens_per_second"] = generated_tokens(step_games) / seconds
        # How many games of each category were played in place of others that left nothing to learn from.
        replacements = Counter(
            played.game.spec.data_type for played in games if _number_in_step(played) >= config.training.games_per_step
        )
        metrics |= {f"replacements/{data_type.value}": float(count) for data_type, count in replacements.items()}
        return metrics | heldout_metrics([played.game for played in evaluated], config.game.assessor)


class _GameFile:
    """A file of games of the run, in the order of their steps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        specs = [line.spec for line in read_lines(path, _GameLine)]
        self._known = {spec.id for spec in specs}
        self._last_step = max((spec.step for spec in specs), default=-1)
        self._new: list[Game] = []

    def receive(self, game: Game) -> None:
        """Write ``game`` the next time, unless it is there."""
        if game.spec.id not in self._known:
            self._known.add(game.spec.id)
            self._new.append(game)

    def write(self) -> None:
        """Bring into the file what was received."""
        if not self._new:
            return
        self._new.sort(key=lambda game: (game.spec.step, game.spec.id))
        lines = [to_line(game) for game in self._new]
        if self._new[0].spec.step >= self._last_step:
            append_lines(self._path, lines)
        else:
            # As bytes, since a text of a game may hold what str.splitlines takes for a line's end.
            old = self._path.read_bytes().splitlines()
            all_lines = [*old, *(line.encode(errors="replace") for line in lines)]
            with atomic_text(self._path) as file:
                for line in sorted(all_lines, key=lambda line: from_line(line, _GameLine).spec.step):
                    file.write(f"{line.decode()}\n")
        self._last_step = max(self._last_step, self._new[-1].spec.step)
        self._new.clear()


def _may_be_replaced(played: PlayedGame) -> bool:
    """Whether a role that the policy plays has no reward, so that other games may still be played in its place."""
    game = played.game
    roles = tuple(Role) if game.spec.data_type.is_adversarial else (Role.ASSESSOR,)
    return len(game.rewards) < sum(game.spec.version_of(role) == LIVING for role in roles)


def _number_in_step(played: PlayedGame) -> int:
    return int(played.game.spec.id.removesuffix(SECOND).rpartition("-")[2])
