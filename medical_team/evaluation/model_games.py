"""One model's held-out games, against itself or in both roles against an opponent: who plays them, with the rules
and limits of the run that made it, and the folder in which they lie."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..callbacks import Notify
from ..config import GameConfig, PromptStyle, RolloutConfig
from ..errors import DataError, UsageError
from ..files import atomic_folder, atomic_text, cannot_write, remove_leftovers
from ..game.play import TurnRules, assess, attack
from ..game.rollout import Rollout
from ..jsonl import from_line, read_jsonl, validation_problems, write_jsonl
from ..judge.protocol import Judge, rule_games
from ..metrics.statistics import Figure
from ..records import Closed, DataType, Game, GameSpec, TrainingRecord
from ..runs.lock import exclusive_lock
from ..seeds import derived_random
from .game_metrics import assessor_figures, attacker_figures
from .model_choice import ModelIdentity

FORMAT = 1

SETTINGS = "games.json"
_GAMES = "games.jsonl"
_METRICS = "metrics.json"
_SO_FAR = "settings.json"
_WRITTEN_SO_FAR = r"settings\.json|.+\.jsonl"
_LONGEST_SHOWN = 80


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
    prompt_date: str
    """The day that the model's chat template was told."""
    prompt_style: PromptStyle | None = None
    """The wording of the requests, where another was asked for than that of each model's run."""


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
        raise _occupied(path)
    around = next(parent for parent in path.absolute().parents if parent.exists())
    if not around.is_dir():
        raise UsageError(f"{path} can't be made, since {around} is a file: name another folder with -o")


def write_games(
    path: Path,
    settings: GamesSettings,
    games: Sequence[Game],
    figures: Mapping[str, Figure],
    *,
    within: Path | None = None,
) -> None:
    """Write the folder, which appears whole or not at all; until then it lies ``within`` that one, or beside itself.

    Raises:
        OutputError: it can't be written.
    """
    described = dataclasses.asdict(settings)
    values = {name: dataclasses.asdict(figure) for name, figure in figures.items()}
    with atomic_folder(path, replace=False, within=within) as folder:
        (folder / SETTINGS).write_text(_json(described), encoding="utf-8")
        (folder / _METRICS).write_text(_json({"settings": described, "figures": values}), encoding="utf-8")
        write_jsonl(folder / _GAMES, games)


@dataclass(frozen=True)
class _Metrics(Closed):
    settings: GamesSettings
    figures: dict[str, Figure]


def finished_games(path: Path, settings: GamesSettings, wanted: Sequence[str] = ()) -> ModelGames | None:
    """What the same command played into ``path`` before it was stopped at another model; None where nothing lies there.

    Args:
        settings: what is to be played now.
        wanted: figures that must be among those there.

    Raises:
        UsageError: something else lies there.
        DataError: a file there is damaged.
    """
    if not (path / SETTINGS).is_file():
        refuse_occupied(path)
        return None
    there = read_games(path)
    if replace(there.settings, package_version=settings.package_version) == settings:
        figures = _read_figures(path / _METRICS)
        if figures.keys() >= set(wanted):
            PlayedSoFar.clear_beside(path)
            return ModelGames(there.games, figures)
    raise _occupied(path)


def _read_figures(path: Path) -> dict[str, Figure]:
    try:
        return dict(from_line(path.read_bytes(), _Metrics).figures)
    except OSError as error:
        raise DataError(f"{path} can't be read:", [error.strerror or str(error)]) from error
    except ValidationError as error:
        raise DataError(f"{path} is damaged or of another version:", validation_problems(error)) from error


def _occupied(path: Path) -> UsageError:
    return UsageError(f"{path} is there already: name a new or empty folder with -o")


class PlayedSoFar:
    """Games of an evaluation that isn't done, part by part, so that the same command goes on where it was stopped.

    They are read and written only inside :meth:`locked`.

    Args:
        path: the folder for them.
        settings: all that decides what is played.
    """

    def __init__(self, path: Path, settings: Mapping[str, object]) -> None:
        self.path = path
        self._settings: dict[str, object] = json.loads(json.dumps(settings, default=str))

    @contextmanager
    def locked(self) -> Generator[None]:
        """Play in this folder alone, which is made where there is none, and clear away what a killed process left
        half-written.

        The lock comes first: of two processes that begin at once with different settings, one finds those of the other.

        Raises:
            RunFolderError: another process plays there; it is named.
            UsageError: games of another evaluation lie there; what differs is named.
            OutputError: the folder can't be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        with exclusive_lock(self.path / "lock"):
            remove_leftovers(self.path, _WRITTEN_SO_FAR)
            self._settle()
            yield

    def _settle(self) -> None:
        """Write the settings, or compare them with those that are there."""
        path, wanted = self.path, self._settings
        try:
            there: dict[str, object] = json.loads((path / _SO_FAR).read_bytes())
        except FileNotFoundError:
            with atomic_text(path / _SO_FAR) as file:
                file.write(_json(wanted))
            return
        except (OSError, ValueError) as error:
            raise UsageError(f"{path / _SO_FAR} can't be read ({error}): remove {path}, or name another -o") from error
        differing = sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))
        if differing:
            told = "; ".join(
                f"{name} {_shown(there.get(name))} there, {_shown(wanted.get(name))} here" for name in differing
            )
            raise UsageError(
                f"{path} holds games of another evaluation ({told}). Give its command again, which goes on with it, "
                "name another folder with -o, or remove it"
            )

    @classmethod
    @contextmanager
    def beside(cls, path: Path, settings: Mapping[str, object]) -> Generator[PlayedSoFar]:
        """Those of an evaluation that will be written to ``path``, whole: beside it until the block ends well.

        What a process leaves in there that is killed is gone when another has written ``path``.

        Raises what :meth:`locked` does.
        """
        folder = _unfinished(path)
        so_far = cls(folder, settings)
        with so_far.locked():
            yield so_far
            cls.clear_beside(path)

    @staticmethod
    def clear_beside(path: Path) -> None:
        """Remove those beside ``path``, which stands: a process that was killed right then left them."""
        shutil.rmtree(_unfinished(path), ignore_errors=True)

    @staticmethod
    def setting_beside(path: Path, name: str) -> Any:
        """The setting ``name`` of an unfinished evaluation, which goes on with it; None where there is none."""
        try:
            return json.loads((_unfinished(path) / _SO_FAR).read_bytes()).get(name)
        except (OSError, ValueError, AttributeError):
            return None

    def games(self, part: str, play: Callable[[], Sequence[Game]]) -> list[Game]:
        """The games of ``part``: as they were played before, else from ``play``.

        Raises:
            DataError: the file of those before is damaged.
            OutputError: the games can't be written.
        """
        file = self.path / f"{part}.jsonl"
        if file.is_file():
            return read_jsonl(file, Game)
        games = list(play())
        write_jsonl(file, games)
        return games


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


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


@dataclass(frozen=True)
class Player:
    """A model that can play both roles."""

    label: str
    rollout: Rollout
    game: GameConfig
    rollout_config: RolloutConfig


def game_specs(
    records: Sequence[TrainingRecord], games: int, seed: int, *, is_vanilla_too: bool = True
) -> list[GameSpec]:
    """At most ``games`` games, each category with the same share. The same for every model.

    Args:
        is_vanilla_too: False for games with an attacker alone.

    Raises:
        UsageError: there is no note for any category.
    """
    categories = [category for category in DataType if is_vanilla_too or category.is_adversarial]
    specs: list[GameSpec] = []
    for category in categories:
        side = [record for record in records if record.data_type.is_harmful == category.is_harmful]
        # The same notes whether an attacker rewrites them or not.
        derived_random(seed, "games", int(category.is_harmful)).shuffle(side)
        specs += [
            GameSpec.of(record, category, game_id=f"{category.value}-{index:04d}")
            for index, record in enumerate(side[: games // len(categories)])
        ]
    if not specs:
        raise UsageError(
            f"--games {games} of {len(records)} records leaves no game; at least {len(categories)} are needed"
        )
    return specs


def attacked(specs: Sequence[GameSpec], attacker: Player, seed: int, on_progress: Notify) -> list[Game]:
    """The games with the attackers' turns, drawn at their own temperature."""
    return attack(specs, attacker.rollout, TurnRules(attacker.game, attacker.rollout_config, seed=seed), on_progress)


def assessed(games: Sequence[Game], assessor: Player, judge: Judge, seed: int, on_progress: Notify) -> list[Game]:
    """The games with the assessors' turns, greedy, and the judge's ruling."""
    rules = TurnRules(assessor.game, assessor.rollout_config, seed=seed, is_greedy=True)
    return rule_games(assess(games, assessor.rollout, rules, on_progress), judge, assessor.game.undecidable)


SELF, ATTACK, ASSESS = "self", "attack", "assess"
"""How the ids of games begin: the model plays both roles, attacks its opponent, or assesses the opponent's notes."""


@dataclass(frozen=True)
class ModelGames:
    """The games of one model, and its figures by name."""

    games: tuple[Game, ...]
    figures: dict[str, Figure]

    def revisions(self) -> list[str]:
        """The notes that the model wrote as an attacker."""
        return [
            game.note
            for game in self.games
            if game.note is not None
            and game.spec.data_type.is_adversarial
            and not game.spec.id.startswith(f"{ASSESS}-")
        ]


def play_model_games(
    specs: Sequence[GameSpec],
    player: Player,
    opponent: Player | None,
    judge: Judge,
    *,
    seed: int,
    so_far: PlayedSoFar | None = None,
    on_progress: Notify = lambda _: None,
) -> ModelGames:
    """Play ``specs`` and measure the model in both roles.

    Args:
        specs: the same for every model that is compared.
        opponent: who plays the other role; None: the model itself.
        so_far: what was played before, and takes what is played now.
    """

    def play(part: str, specs: Sequence[GameSpec], attacker: Player, assessor: Player) -> list[Game]:
        def attack() -> list[Game]:
            return attacked(specs, attacker, seed, on_progress)

        def assess() -> list[Game]:
            opened = so_far.games(f"{part}-opened", attack) if so_far else attack()
            return assessed(opened, assessor, judge, seed, on_progress)

        return so_far.games(part, assess) if so_far else assess()

    if opponent is None:
        games = play(SELF, specs, player, player)
        figures = assessor_figures(games, seed) | attacker_figures(games, seed)
        return ModelGames(_named(games, SELF), figures)
    adversarial = [spec for spec in specs if spec.data_type.is_adversarial]
    assess_games = play(ASSESS, specs, opponent, player)
    attack_games = play(ATTACK, adversarial, player, opponent)
    figures = assessor_figures(assess_games, seed) | attacker_figures(attack_games, seed)
    return ModelGames(_named(assess_games, ASSESS) + _named(attack_games, ATTACK), figures)


def _named(games: Sequence[Game], role: str) -> tuple[Game, ...]:
    """The games under ids that say the model's role; a ruling follows its game."""
    return tuple(_renamed(game, f"{role}-{game.spec.id}") for game in games)


def _renamed(game: Game, game_id: str) -> Game:
    ruling = None if game.ruling is None else replace(game.ruling, game_id=game_id)
    return replace(game, spec=replace(game.spec, id=game_id), ruling=ruling)
