"""Train the policy that ships by self-play, and write the report.

    python examples/train_the_toy.py --folder my-run --steps 10

Ten steps take half a minute or less on a laptop. `medical-team quickstart` does sixty, with held-out notes judged
before and after.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import tyro

from medical_team.errors import MedicalTeamError
from medical_team.records import Game
from medical_team.report.page_file import write_report
from medical_team.rl.protocols import Listener
from medical_team.runs.config_file import load_preset
from medical_team.train.session import start_run


class Printer(Listener):
    """A listener is told of the run; this one prints a line for each step."""

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        """Print who won how often."""
        rewards = [reward for game in games for reward in game.rewards]
        right = [reward.core > 0 for reward in rewards if reward.role.value == "assessor"]
        share = f"{sum(right) / len(right):.2f}" if right else "-"
        print(f"step {step}: {len(games)} games, the assessor was right in {share} of those with its verdict")


def main(folder: str = "my-run", steps: int = 10, games: int = 64) -> None:
    """Train ``steps`` steps of ``games`` games in a new run at ``folder``."""
    config = load_preset("demo")
    config = replace(
        config,
        training=replace(config.training, steps=steps, games_per_step=games),
        # Held-out notes are read before the first step and after the last.
        checkpoints=replace(config.checkpoints, save_every=steps, evaluate_every=steps, evaluation_games=32),
    )
    run = Path(folder)
    result = start_run(config, run, [Printer()])
    write_report([run], run / "report.html")
    print(f"{result.completed_steps} steps done. Open {run / 'report.html'}; the model is in {run / 'final'}.")


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except MedicalTeamError as error:
        sys.exit(str(error))
