"""One model's held-out games, against itself or in both roles against an opponent: who plays them, with the rules
and limits of the run that made it, and the folder in which they lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..callbacks import Notify
from ..config import GameConfig, PromptStyle, RolloutConfig
from ..errors import UsageError
from ..files import atomic_folder
from ..game.play import TurnRules, assess, attack
from ..game.rollout import Rollout
from ..jsonl import read_jsonl, write_jsonl
from ..judge.protocol import Judge, rule_games
from ..metrics.statistics import Figure
from ..records import Closed, DataType, Game, GameSpec, TrainingRecord
from ..seeds import derived_random
from .folders import PlayedSoFar, as_json, finished, read_settings
from .game_metrics import assessor_figures, attacker_figures
from .model_choice import ModelIdentity

FORMAT = 1

SETTINGS = "games.json"
METRICS = "metrics.json"
_GAMES = "games.jsonl"


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
    with atomic_folder(path, replace=False, within=within) as folder:
        (folder / SETTINGS).write_text(as_json(settings), encoding="utf-8")
        (folder / METRICS).write_text(as_json({"settings": settings, "figures": figures}), encoding="utf-8")
        write_jsonl(folder / _GAMES, games)


@dataclass(frozen=True)
class _Figures(Closed):
    figures: dict[str, Figure]


def finished_games(path: Path, settings: GamesSettings, wanted: Sequence[str] = ()) -> ModelGames | None:
    """What the same command played into ``path`` before it was stopped at another model; None where nothing lies there.

    Args:
        settings: what is to be played now.
        wanted: figures that must be among those there.

    Raises:
        UsageError: something else lies there.
        DataError: the games there are damaged.
    """
    result = finished(path, METRICS, dataclasses.asdict(settings), _Figures)
    if result is None:
        return None
    if missing := set(wanted) - result.figures.keys():
        raise UsageError(f"{path} is there already, without {', '.join(missing)}: name a new or empty folder with -o")
    return ModelGames(read_games(path).games, result.figures)


def read_games(path: Path) -> PlayedGames:
    """The games at ``path``.

    Raises:
        DataError: there are none, or a file is damaged.
    """
    settings = read_settings(path, SETTINGS, GamesSettings, "eval games")
    return PlayedGames(settings, tuple(read_jsonl(path / _GAMES, Game)))


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


def attacked(
    specs: Sequence[GameSpec], attacker: Player, seed: int, on_progress: Notify = lambda _: None
) -> list[Game]:
    """The games with the attackers' turns, drawn at their own temperature."""
    return attack(specs, attacker.rollout, TurnRules(attacker.game, attacker.rollout_config, seed=seed), on_progress)


def assessed(
    games: Sequence[Game], assessor: Player, judge: Judge, seed: int, on_progress: Notify = lambda _: None
) -> list[Game]:
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
    """The games under ids that say the model's role."""
    return tuple(renamed(game, f"{role}-{game.spec.id}") for game in games)


def renamed(game: Game, game_id: str) -> Game:
    """``game`` under another id; its ruling follows."""
    ruling = None if game.ruling is None else replace(game.ruling, game_id=game_id)
    return replace(game, spec=replace(game.spec, id=game_id), ruling=ruling)
