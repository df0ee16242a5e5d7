"""``medical-team eval crossplay``: every checkpoint's attacker against every checkpoint's assessor."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from ..config import JudgeConfig
from ..data.load import load_records
from ..errors import UsageError
from ..evaluation.crossplay import Crossplay, Rating, crossplay, heatmap, named_games, play_all
from ..evaluation.folders import as_json, finished, played_beside, saved_setting
from ..evaluation.model_choice import ModelChoice, check_heldout, choose_model, choose_player, start_of
from ..evaluation.model_games import Player, game_specs
from ..evaluation.tables import figure, table
from ..files import atomic_folder
from ..jsonl import lines_sha256, write_jsonl
from ..judging import make_judge
from ..runs.folder import RunFolder
from .arguments import Speaking, SpeakingOptions, load_scorer, parse, remark, say, with_judge_spelled_out

_FORMAT = 1
_RESULT = "crossplay.json"
_MUCH = 0.2
_MANY_VOID = """\
So many void games say more of the judge than of the players: attackers differ in how often it can tell. Name one that
can tell more often with --judge.
"""


@dataclass(frozen=True)
class CrossplayArguments:
    """Let every checkpoint's attacker play against every checkpoint's assessor, on the same held-out notes.

    Writes the matrix with intervals and a rating for each role as JSON and as a picture, and every game. A command that
    was stopped goes on when it is given again.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders; the model that a run started from plays too."""
    data: Path
    """Held-out records: a heldout.jsonl that `data build --heldout` wrote."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("evaluations/crossplay")
    """Folder for crossplay.json, crossplay.svg and games.jsonl."""
    games: int = 32
    """Games of each pair: half with an error, half without."""
    attackers: tuple[str, ...] = ()
    """Runs or models that only attack: attackers of other runs and seeds, whom no assessor here has met."""
    start: bool = True
    """Whether the models that the runs started from play too."""
    seed: int = 42
    """Decides the notes, the attackers' replies and the intervals."""
    keep_training_notes: bool = False
    """Play also with notes that a run was trained on."""
    speaking: Speaking = field(default_factory=SpeakingOptions)
    judge: JudgeConfig = field(default_factory=JudgeConfig)


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(CrossplayArguments, "eval crossplay", with_judge_spelled_out(arguments))
    entrants = _entrants(chosen)
    guests = _guests(chosen, entrants)
    players = {**entrants, **guests}
    records = load_records(str(chosen.data))
    specs = game_specs(records, chosen.games, chosen.seed, is_vanilla_too=False)
    for player in players.values():
        check_heldout([spec.pair for spec in specs], player, is_kept=chosen.keep_training_notes)
    judge = make_judge(chosen.judge, [record.pair for record in records], remark, load_scorer)
    saved: dict[str, str] = saved_setting(chosen.output, _RESULT, "prompt_dates") or {}
    days = {name: chosen.speaking.day_of(player, saved.get(name)) for name, player in players.items()}
    settings: dict[str, object] = {
        "format": _FORMAT,
        "judge": judge.name,
        "records": chosen.data.name,
        "games": len(specs),
        "seed": chosen.seed,
        "prompt_dates": {name: day.isoformat() for name, day in days.items()},
        "records_sha256": lines_sha256(records),
        "device": chosen.speaking.device,
        "precision": chosen.speaking.precision,
        "engine": chosen.speaking.engine,
        "guests": list(guests),
        "players": {name: _identity(player) for name, player in players.items()},
    }
    result = finished(chosen.output, _RESULT, settings, Crossplay)
    if result is None:

        def load(name: str) -> Player:
            game, config = players[name].rules
            return Player(name, chosen.speaking.rollout(players[name], config, days[name]), game, config)

        names, only_attack = list(entrants), list(guests)
        with played_beside(chosen.output, settings) as so_far:
            played = play_all(
                names, load, specs, judge, seed=chosen.seed, guests=only_attack, so_far=so_far, on_progress=remark
            )
            result = crossplay(names, played, seed=chosen.seed, guests=only_attack)
            with atomic_folder(chosen.output, replace=False, within=so_far.path) as folder:
                content = {"settings": settings, **dataclasses.asdict(result)}
                (folder / _RESULT).write_text(as_json(content), encoding="utf-8")
                (folder / "crossplay.svg").write_text(heatmap(result), encoding="utf-8")
                write_jsonl(folder / "games.jsonl", named_games(played))
    say(_report(result))
    say(f"\nThe matrix, its picture and all games are in {chosen.output}\n")
    return 0


def _identity(player: ModelChoice) -> dict[str, object]:
    """All of ``player`` that decides what it says."""
    game, rollout = player.rules
    return {"model": player.fingerprint or player.location, "game": game, "rollout": rollout}


def _entrants(chosen: CrossplayArguments) -> dict[str, ModelChoice]:
    entrants: dict[str, ModelChoice] = {}
    for path in chosen.runs:
        run = RunFolder.open(path)
        checkpoints = [choose_model(str(run.checkpoints.path_of(step))) for step in run.checkpoints.steps()]
        if not checkpoints and run.final_path.is_dir():
            checkpoints = [choose_model(str(run.final_path))]
        if not checkpoints:
            raise UsageError(f"{path} has no checkpoint yet: train it on, or leave it out")
        if chosen.start:
            # It plays by the rules of the run that started from it.
            start = replace(start_of(run), run=run)
            entrants.setdefault(start.label, start)
        for checkpoint in checkpoints:
            entrants[_free_name(checkpoint.label, entrants)] = checkpoint
    if len(entrants) < 2:
        raise UsageError("name runs with at least two models between them: checkpoints, or what they started from")
    return entrants


def _guests(chosen: CrossplayArguments, entrants: Mapping[str, ModelChoice]) -> dict[str, ModelChoice]:
    guests: dict[str, ModelChoice] = {}
    for name in chosen.attackers:
        choice = choose_player(name)
        guests[_free_name(choice.label, {**entrants, **guests})] = choice
    return guests


def _free_name(label: str, taken: Mapping[str, ModelChoice]) -> str:
    """The label, numbered where runs of the same name lie in different places."""
    numbered = [label, *(f"{label} ({number})" for number in range(2, len(taken) + 3))]
    return next(name for name in numbered if name not in taken)


def _report(result: Crossplay) -> str:
    numbers = {name: str(index + 1) for index, name in enumerate(result.rows)}
    matrix = [
        [
            f"{numbers[attacker]}  {attacker}",
            *(figure(result.cell(attacker, assessor).assessor_win_rate, 2) for assessor in result.entrants),
        ]
        for attacker in result.rows
    ]
    rating_rows = [
        [
            f"{numbers[name]}  {name}",
            *_rating_cells(result.attackers[name]),
            *(_rating_cells(result.assessors[name]) if name in result.assessors else ("-", "-")),
        ]
        for name in result.rows
    ]
    void = sum(cell.void for cell in result.cells)
    games = void + sum(cell.games for cell in result.cells)
    return "\n".join(
        [
            "How often the assessor (column) wins against the attacker (row):",
            table(["", *(numbers[name] for name in result.entrants)], matrix),
            "Ratings (the mean attacker has 1000; only differences mean something):",
            table(["", "as attacker", "95% interval", "as assessor", "95% interval"], rating_rows),
            f"{games} games, {void} of them void: the judge can't tell.\n",
            *([_MANY_VOID] if void > _MUCH * games else []),
        ]
    )


def _rating_cells(rating: Rating) -> tuple[str, str]:
    interval = "-" if rating.interval is None else f"{rating.interval.low:.0f} to {rating.interval.high:.0f}"
    return f"{rating.value:.0f}", interval
