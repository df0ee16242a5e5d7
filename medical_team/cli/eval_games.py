"""``medical-team eval games``: models in both roles on held-out notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Annotated

import tyro

from .. import __version__
from ..config import JudgeConfig, PromptStyle
from ..data.load import load_records
from ..errors import UsageError
from ..evaluation.folders import name_of_folder, played_beside, saved_setting
from ..evaluation.model_choice import ModelChoice, check_heldout, choose_player, identity_of
from ..evaluation.model_games import (
    FORMAT,
    METRICS,
    GamesSettings,
    ModelGames,
    Player,
    finished_games,
    game_specs,
    play_model_games,
    write_games,
)
from ..evaluation.tables import figures_table
from ..game_config import GameConfig, RolloutConfig
from ..jsonl import lines_sha256
from ..judging import make_judge
from ..metrics.statistics import Figure
from ..policy.embeddings import TextEmbedder
from .arguments import Speaking, SpeakingOptions, load_scorer, parse, remark, say, with_judge_spelled_out


@dataclass(frozen=True)
class GamesArguments:
    """Play held-out games with each model: as the assessor, and as the attacker.

    Assessors answer greedily, attackers are drawn at their run's temperature. Every model plays the same games. Given
    again with the same -o, the command goes on where it stopped.
    """

    models: tyro.conf.Positional[tuple[str, ...]]
    """Runs, checkpoints, folders of models or adapters, or Hugging Face names."""
    data: Path
    """Held-out records: a heldout.jsonl that `data build --heldout` wrote."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("evaluations/games")
    """Folder for a folder of games and figures of each model."""
    opponent: str | None = None
    """Who plays the other role against every model; without it each model plays against itself."""
    games: int = 64
    """Games of each model: four categories in equal shares."""
    seed: int = 42
    """Decides the notes, the attackers' replies and the intervals."""
    prompt_style: PromptStyle | None = None
    """Wording of the requests; without it that of each model's run, else short."""
    embedding_model: str | None = None
    """Also tell how alike the attackers' revisions are to this model, e.g. sentence-transformers/all-MiniLM-L6-v2."""
    keep_training_notes: bool = False
    """Play also with notes that a model's run was trained on."""
    speaking: Speaking = field(default_factory=SpeakingOptions)
    judge: JudgeConfig = field(default_factory=JudgeConfig)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(GamesArguments, "eval games", with_judge_spelled_out(arguments))
    if not chosen.models:
        raise UsageError("name at least one model: a run, a checkpoint, a folder or a Hugging Face name")
    records = load_records(str(chosen.data))
    specs = game_specs(records, chosen.games, chosen.seed)
    choices = [choose_player(name) for name in chosen.models]
    opponent_choice = None if chosen.opponent is None else choose_player(chosen.opponent)
    for choice in filter(None, [*choices, opponent_choice]):
        check_heldout([spec.pair for spec in specs], choice, is_kept=chosen.keep_training_notes)
    judge = make_judge(chosen.judge, [record.pair for record in records], remark, load_scorer)
    sha256 = lines_sha256(records)
    opponent_identity = identity_of(opponent_choice) if opponent_choice else None

    def settings_of(folder: Path, choice: ModelChoice) -> GamesSettings:
        day = chosen.speaking.day_of(choice, saved_setting(folder, METRICS, "prompt_date"))
        return GamesSettings(
            format=FORMAT,
            package_version=__version__,
            model=identity_of(choice),
            opponent=opponent_identity,
            judge=judge.name,
            records=chosen.data.name,
            records_sha256=sha256,
            games=chosen.games,
            seed=chosen.seed,
            prompt_date=day.isoformat(),
            prompt_style=chosen.prompt_style,
        )

    players = dict(zip(_folders(chosen.output, choices), choices, strict=True))
    settings = {folder: settings_of(folder, choice) for folder, choice in players.items()}
    similarity_name = f"embedding_similarity ({chosen.embedding_model})"
    wanted = () if chosen.embedding_model is None else (similarity_name,)
    done = {folder: finished_games(folder, settings[folder], wanted) for folder in players}
    opponent = embedder = None
    if None in done.values():
        if opponent_choice is not None:
            opponent = _player(opponent_choice, chosen, chosen.speaking.day_of(opponent_choice, None))
        if chosen.embedding_model is not None:
            embedder = TextEmbedder(chosen.embedding_model, device=chosen.speaking.device, notify=remark)
    played: dict[str, ModelGames] = {}
    for folder, choice in players.items():
        result, decided = done[folder], settings[folder]
        if result is None:
            with played_beside(folder, _decisive(decided, choice, opponent_choice, chosen)) as so_far:
                player = _player(choice, chosen, date.fromisoformat(decided.prompt_date))
                result = play_model_games(
                    specs, player, opponent, judge, seed=chosen.seed, so_far=so_far, on_progress=remark
                )
                if embedder is not None:
                    notes = result.revisions()
                    result.figures[similarity_name] = Figure(embedder.mean_similarity(notes), None, len(notes))
                write_games(folder, decided, result.games, result.figures, within=so_far.path)
        played[folder.name] = result
    say("\n".join(figures_table(label, "games", result.figures) for label, result in played.items()))
    if chosen.embedding_model is None:
        remark("embedding similarity of revisions: absent; name a model with --embedding-model")
    say("".join(f"\n{folder}" for folder in players) + "\n")
    return 0


def _folders(output: Path, choices: Sequence[ModelChoice]) -> list[Path]:
    names = [name_of_folder(choice.label) for choice in choices]
    return [
        output / name if names.count(name) == 1 else output / f"{name}-{index + 1}" for index, name in enumerate(names)
    ]


def _rules(choice: ModelChoice, chosen: GamesArguments) -> tuple[GameConfig, RolloutConfig]:
    game, config = choice.rules
    if chosen.prompt_style is not None:
        game = replace(game, prompt_style=chosen.prompt_style)
    return game, config


def _decisive(
    settings: GamesSettings, choice: ModelChoice, opponent: ModelChoice | None, chosen: GamesArguments
) -> dict[str, object]:
    """All that decides what is said in the games of ``choice``."""
    decisive = dataclasses.asdict(settings)
    del decisive["package_version"]
    speaking = chosen.speaking
    decisive |= {"device": speaking.device, "precision": speaking.precision, "engine": speaking.engine}
    for role, player in (("model", choice), ("opponent", opponent)):
        if player is not None:
            game, rollout = _rules(player, chosen)
            decisive[f"{role}_game"] = dataclasses.asdict(game)
            decisive[f"{role}_rollout"] = dataclasses.asdict(rollout)
            decisive[f"{role}_weights"] = player.fingerprint or player.location
    return decisive


def _player(choice: ModelChoice, chosen: GamesArguments, day: date) -> Player:
    game, config = _rules(choice, chosen)
    return Player(choice.label, chosen.speaking.rollout(choice, config, day), game, config)
