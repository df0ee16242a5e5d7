"""``medical-team eval games``: models in both roles on held-out notes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Annotated

import tyro

from .. import __version__
from ..config import Device, JudgeConfig, Precision, PromptStyle, RolloutEngine
from ..data.load import load_records
from ..errors import UsageError
from ..evaluation.model_choice import ModelChoice, check_heldout, choose_model, identity_of
from ..evaluation.model_games import (
    FORMAT,
    GamesSettings,
    ModelGames,
    Player,
    game_specs,
    play_model_games,
    refuse_occupied,
    write_games,
)
from ..evaluation.tables import figure, interval_text, table
from ..jsonl import lines_sha256
from ..judging import make_judge
from ..metrics.statistics import Figure
from ..policy.embeddings import TextEmbedder
from ..policy.rollout_engines import local_rollout
from .arguments import load_scorer, parse, remark, say, with_judge_spelled_out


@dataclass(frozen=True)
class GamesArguments:
    """Play held-out games with each model: as the assessor, and as the attacker.

    Assessors answer greedily, attackers are drawn at their run's temperature. Every model plays the same games.
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
    device: Device = "auto"
    """Where the models compute."""
    precision: Precision = "auto"
    """What the models compute in."""
    engine: RolloutEngine = "auto"
    """What draws their replies, chosen as rollout.engine of a run: vllm (docs/vllm.md) or transformers."""
    prompt_date: date | None = None
    """The day that a chat template is told which asks for one, e.g. 2026-03-05; without it that of each model's run,
    else today."""
    judge: JudgeConfig = field(default_factory=JudgeConfig)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(GamesArguments, "eval games", with_judge_spelled_out(arguments))
    if not chosen.models:
        raise UsageError("name at least one model: a run, a checkpoint, a folder or a Hugging Face name")
    records = load_records(str(chosen.data))
    specs = game_specs(records, chosen.games, chosen.seed)
    choices = [_choice(name) for name in chosen.models]
    opponent_choice = None if chosen.opponent is None else _choice(chosen.opponent)
    for choice in [*choices, *([opponent_choice] if opponent_choice else [])]:
        check_heldout([spec.pair for spec in specs], choice, is_kept=chosen.keep_training_notes)
    folders = _folders(chosen.output, choices)
    judge = make_judge(chosen.judge, [record.pair for record in records], remark, load_scorer)
    opponent = None if opponent_choice is None else _player(opponent_choice, chosen)
    embedder = _embedder(chosen)
    played: list[tuple[str, ModelGames]] = []
    for choice, folder in zip(choices, folders, strict=True):
        result = play_model_games(specs, _player(choice, chosen), opponent, judge, seed=chosen.seed, on_progress=remark)
        settings = GamesSettings(
            format=FORMAT,
            package_version=__version__,
            model=identity_of(choice),
            opponent=identity_of(opponent_choice) if opponent_choice else None,
            judge=judge.name,
            records=chosen.data.name,
            records_sha256=lines_sha256(records),
            games=chosen.games,
            seed=chosen.seed,
            prompt_date=_day(choice, chosen).isoformat(),
        )
        if embedder is not None:
            notes = result.revisions()
            similarity = Figure(embedder.mean_similarity(notes), None, len(notes))
            result.figures[f"embedding_similarity ({chosen.embedding_model})"] = similarity
        write_games(folder, settings, result.games, result.figures)
        played.append((folder.name, result))
    say(_report(played))
    if embedder is None:
        remark("embedding similarity of revisions: absent; name a model with --embedding-model")
    say("".join(f"\n{folder}" for folder in folders) + "\n")
    return 0


def _choice(name: str) -> ModelChoice:
    choice = choose_model(name)
    if choice.is_baseline:
        raise UsageError(f"{name} is a baseline, which can't play games: name a model")
    return choice


def _folders(output: Path, choices: Sequence[ModelChoice]) -> list[Path]:
    names = [re.sub(r"[^A-Za-z0-9._-]+", "-", choice.label).strip("-.") or "model" for choice in choices]
    folders = [
        output / name if names.count(name) == 1 else output / f"{name}-{index + 1}" for index, name in enumerate(names)
    ]
    for folder in folders:
        refuse_occupied(folder)
    return folders


def _player(choice: ModelChoice, chosen: GamesArguments) -> Player:
    game, config = choice.rules
    if chosen.prompt_style is not None:
        game = replace(game, prompt_style=chosen.prompt_style)
    remark(f"Loading {choice.label} ...")
    rollout = local_rollout(
        choice.location,
        config,
        device=chosen.device,
        precision=chosen.precision,
        engine=chosen.engine,
        day=_day(choice, chosen),
        notify=remark,
    )
    return Player(choice.label, rollout, game, config)


def _day(choice: ModelChoice, chosen: GamesArguments) -> date:
    return chosen.prompt_date or choice.day


def _embedder(chosen: GamesArguments) -> TextEmbedder | None:
    if chosen.embedding_model is None:
        return None
    return TextEmbedder(chosen.embedding_model, device=chosen.device, notify=remark)


def _report(played: Sequence[tuple[str, ModelGames]]) -> str:
    names = list(dict.fromkeys(name for _, result in played for name in result.figures))
    parts: list[str] = []
    for label, result in played:
        rows = [
            [name, figure(found.value), interval_text(found.interval), str(found.of)]
            for name in names
            if (found := result.figures.get(name)) is not None
        ]
        parts.append(table([label, "value", "95% interval", "games"], rows))
    return "\n".join(parts)
