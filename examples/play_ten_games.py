"""Play ten games with the policy that ships, and read them.

    python examples/play_ten_games.py

The policy plays both sides. It speaks the language of the synthetic notes alone; no network, no GPU, a few seconds.
"""

from __future__ import annotations

import tyro

from medical_team.chat_template import today
from medical_team.data.load import load_records
from medical_team.game.draw import GameDraw
from medical_team.game.play import play, score
from medical_team.judge.protocol import rule_games
from medical_team.judging import reference_judge
from medical_team.policy.rollout_engines import local_rollout
from medical_team.records import GameState
from medical_team.report.game_text import format_game
from medical_team.runs.config_file import load_preset

SEED = 7


def main(count: int = 10) -> None:
    """Draw ``count`` games, let both players speak, ask the judge, and print what happened."""
    config = load_preset("demo")
    records = load_records("demo")

    # Which notes are played: a pure function of the records, the seed and the step.
    specs = GameDraw(records, config.game, games_per_step=count, seed=SEED).specs(step=0)

    # Attackers rewrite the notes of adversarial games, then assessors say Safe or Harmful.
    rollout = local_rollout("demo", config.rollout, device="cpu", precision="fp32", day=today())
    games = play(specs, rollout, config.game, config.rollout, seed=SEED)

    # The reference judge uses no model: it compares each note with the case it was made from.
    ruled = rule_games(games, reference_judge(), config.game.undecidable)
    for game in score(ruled, config.game):
        print(format_game(game))

    decided = sum(game.state is GameState.DECIDED for game in ruled)
    print(f"{decided} of {count} games were decided; the others say why under State.")


if __name__ == "__main__":
    tyro.cli(main)
