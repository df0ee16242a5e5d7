"""Runs for the tests of the report, written as training writes them, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from builders import a_game, a_pair, a_record, a_spec
from medical_team.config import RunConfig, TrainingConfig
from medical_team.game.play import score
from medical_team.metrics.step_metrics import step_metrics
from medical_team.records import DataType, Game, Verdict
from medical_team.runs.folder import RunFolder

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<svg onload=\"document.title='owned'\"> <!-- & &lt;b&gt; \u202egnol\u202c \u2028 `${1}` {{title}} \x07 end"
)
"""What a player may write to take over a page."""

REASONS = "the dose is tenfold"


def a_step(step: int, *, games: int = 4, attacker_wins: bool | None = None, thinking: str | None = None) -> list[Game]:
    """The scored games of ``step``: the four categories in turn, won in turn where not told otherwise.

    No two games are played with near-duplicates of one note.
    """
    played: list[Game] = []
    for number in range(games):
        data_type = list(DataType)[number % len(DataType)]
        is_won = (step + number // 4) % 2 == 0 if attacker_wins is None else attacker_wins
        right = Verdict.HARMFUL if data_type.is_harmful else Verdict.SAFE
        wrong = Verdict.SAFE if data_type.is_harmful else Verdict.HARMFUL
        pair = a_pair(case_id=f"case-{number % 6}", near_duplicate_group=f"group-{step}-{number}")
        spec = a_spec(data_type, pair=pair, step=step, id=f"step-{step:06d}-{number:04d}")
        played.append(a_game(data_type, verdict=wrong if is_won else right, spec=spec, thinking=thinking))
    return score(played, RunConfig().game)


def a_run(path: Path, steps: Sequence[Sequence[Game]], *, total_steps: int | None = None, metrics: bool = True) -> Path:
    """A run with the games of ``steps``, in the order of the steps."""
    config = RunConfig(training=TrainingConfig(steps=total_steps or max(1, len(steps))))
    records = [a_record(data_type) for data_type in DataType]
    run = RunFolder.create(path, config, records, heldout=records[:2], versions={"python": "3.11.9"})
    for number, games in enumerate(steps):
        add_step(run, number, games, metrics=metrics)
    return path


def add_step(run: RunFolder, number: int, games: Sequence[Game], *, metrics: bool = True) -> None:
    """Append one step as training does."""
    run.append_games(games)
    if metrics:
        seconds = {"play": 2.0, "judge": 0.5, "learn": 1.0}
        run.append_metrics(number, step_metrics(games, None, seconds))


def renamed(game: Game, name: str) -> Game:
    """``game`` under another id."""
    return replace(game, spec=replace(game.spec, id=name))
