"""Does self-play help? Three arms from one warm start, three seeds: the demo policy in its small world.

    python benchmarks/self_play.py [--seeds 1 2 3] [--steps 60] [--output results.json]

- warm start: the policy that ships, as it is;
- assessor only: the same steps and games, but every note is shown as it was written (game.no_attacker_turn);
- self-play: both players learn.

Each arm is assessed on the same held-out notes, as written and as the warm start's attacker revised them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

from medical_team.evaluation.accuracy import HeldoutScore
from medical_team.report.display import make_display
from medical_team.report.listeners import usual_listeners
from medical_team.runs.config_file import load_preset
from medical_team.runs.folder import RunFolder
from medical_team.train.demo_run import run_demo

ARMS = {"assessor only": True, "self-play": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=load_preset("demo").training.steps)
    parser.add_argument("--heldout-cases", type=int, default=96)
    parser.add_argument("--output", type=Path, help="write all figures as JSON")
    parser.add_argument("--runs", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.runs or Path(temporary)
        figures: dict[str, dict[int, list[HeldoutScore]]] = defaultdict(dict)
        for seed in arguments.seeds:
            for arm, is_alone in ARMS.items():
                figures[arm][seed] = one_run(folder / f"{arm.replace(' ', '-')}-{seed}", seed, is_alone, arguments)
    sys.stdout.write(table(figures) + "\n")
    if arguments.output:
        content = {
            arm: {seed: [asdict(score) for score in scores] for seed, scores in runs.items()}
            for arm, runs in figures.items()
        }
        arguments.output.write_text(json.dumps(content, indent=1), encoding="utf-8")


def one_run(path: Path, seed: int, is_alone: bool, arguments: argparse.Namespace) -> list[HeldoutScore]:
    config = load_preset("demo")
    config = replace(
        config,
        game=replace(config.game, no_attacker_turn=is_alone),
        training=replace(config.training, seed=seed, steps=arguments.steps),
    )
    start = time.monotonic()
    with make_display() as display:
        result = run_demo(config, path, usual_listeners(display), heldout_cases=arguments.heldout_cases)
    steps = [metrics.values for metrics in RunFolder.open(path).metrics() if metrics.step >= 0]
    wins = [values["win_rate/attacker"] for values in steps if "win_rate/attacker" in values]
    sys.stdout.write(
        f"{path.name}: {time.monotonic() - start:.0f} s in all, "
        f"{fmean(values['seconds/total'] for values in steps):.2f} s a step"
        + (f", attackers won {fmean(wins[:5]):.0%} at first, {fmean(wins[-5:]):.0%} at last" if wins else "")
        + "\n"
    )
    return list(result.scores)


def table(figures: dict[str, dict[int, list[HeldoutScore]]]) -> str:
    first = next(iter(next(iter(figures.values())).values()))
    lines = ["| held-out notes | warm start | " + " | ".join(ARMS) + " |", "|---|" + "---|" * (len(ARMS) + 1)]
    for place, score in enumerate(first):
        name = f"{score.group}, {'revised' if score.is_revised else 'as written'}"
        cells = [f"{score.before.value:.2f}"]
        for arm in ARMS:
            values = [scores[place].after.value for scores in figures[arm].values()]
            cells.append(f"{fmean(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
