"""Does self-play help? Arms x seeds from one warm start: the demo policy in its small world.

    python benchmarks/self_play.py --arm shared --seed 101     # one cell; given again, it goes on where it stopped
    python benchmarks/self_play.py --seed 101 102              # every arm of these seeds
    python benchmarks/self_play.py --exploit --arm shared --seed 101
    python benchmarks/self_play.py --table                     # what there is so far
    python benchmarks/self_play.py --table --picture self_play.png
    python benchmarks/self_play.py --compare separate-pool assessor-only

Each cell leaves one small JSON file, and the table is made from these files alone. docs/evidence.md says what the arms
are, which seeds are for development, and what is compared.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from self_play_table import (
    ALONE,
    APART,
    ARMS,
    AS_WRITTEN,
    FROZEN,
    POOL,
    RARE,
    STATIC,
    WARM,
    NoteSet,
    comparison,
    draw,
    note_set,
    report,
)

from medical_team import __version__
from medical_team.chat_template import today
from medical_team.cli import eval_exploit
from medical_team.config import DataConfig, RunConfig
from medical_team.data.synthetic.demo_world import heldout_records, played_records
from medical_team.evaluation.heldout import attack_notes
from medical_team.files import atomic_text
from medical_team.game_config import OpponentConfig
from medical_team.jsonl import read_jsonl, write_jsonl
from medical_team.judging import reference_judge
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.records import DataType, Game, Labels, Role, TrainingRecord
from medical_team.report.display import make_display
from medical_team.report.listeners import usual_listeners
from medical_team.runs.config_file import load_preset
from medical_team.runs.folder import RunFolder
from medical_team.train.best_response import all_attacked, best_response_config, trained_attacker
from medical_team.train.demo_run import PLAYED_CASES, HeldoutNotes, assessed
from medical_team.train.session import resume_run, start_run

ATTACKER_STEPS = 100
ATTACKER_KL_COEFFICIENT = 0.05
"""Of attackers that are trained to attack alone: they may go further from their start than those of self-play."""
LEARNING_RATE = 6e-4
KL_COEFFICIENT = 0.3
RARE_SHARE = 0.5
"""Of the errors in the notes of rare-notes, as many as attackers are shown to plant."""
FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """What all cells of one table share."""

    steps: int
    assessor_samples: int
    heldout_cases: int
    runs: Path
    results: Path
    kl_coefficient: float = KL_COEFFICIENT

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "package_version": __version__,
            "steps": self.steps,
            "assessor_samples_per_step": self.assessor_samples,
            "heldout_cases": self.heldout_cases,
            "kl_coefficient": self.kl_coefficient,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--arm", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seed", type=int, nargs="+", default=[])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--assessor-samples", type=int, default=48, help="of each step, the same for every arm")
    parser.add_argument("--heldout-cases", type=int, default=96, help="in each group")
    parser.add_argument("--kl-coefficient", type=float, default=KL_COEFFICIENT, help="of the runs")
    parser.add_argument("--exploit", action="store_true", help="train attackers against the cells' assessors")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    parser.add_argument("--compare", nargs=2, choices=ARMS, help="an arm less another, on all held-out notes")
    parser.add_argument("--base-results", type=Path, help="where the second arm of --compare lies, if elsewhere")
    parser.add_argument("--picture", type=Path, help="draw the cells of test seeds into this file, PNG or SVG")
    parser.add_argument("--runs", type=Path, default=Path("runs/self_play"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/self_play"))
    chosen = parser.parse_args()
    if not chosen.table and chosen.compare is None and not chosen.seed:
        parser.error("name seeds with --seed, or ask for the --table or to --compare two arms")
    plan = Plan(
        chosen.steps, chosen.assessor_samples, chosen.heldout_cases, chosen.runs, chosen.results, chosen.kl_coefficient
    )
    if chosen.compare is not None:
        arm, base = chosen.compare
        sys.stdout.write(comparison(plan.results, arm, base, chosen.base_results or plan.results))
        return
    if not chosen.table:
        for seed in chosen.seed:
            for arm in chosen.arm:
                play_cell(plan, arm, seed)
                if chosen.exploit:
                    exploit_cell(plan, arm, seed)
    sys.stdout.write(report(plan.results))
    if chosen.picture is not None:
        draw(plan.results, chosen.picture)


def play_cell(plan: Plan, arm: str, seed: int) -> None:
    """Train and assess one arm with one seed, unless that was done."""
    file = plan.results / f"{arm}-{seed}.json"
    if file.is_file():
        found = json.loads(file.read_text(encoding="utf-8"))
        # The first cells don't name the coefficient that all of them had.
        made_with = {"kl_coefficient": KL_COEFFICIENT, **found}
        other = {name: made_with.get(name) for name, value in plan.settings.items() if made_with.get(name) != value}
        if other:
            sys.exit(f"{file} was made with {other}, not with {plan.settings}: name another folder with --results")
        return
    config = load_preset("demo").begun_on(today())
    training: dict[str, float] = {}
    if arm != WARM:
        run = trained(plan, arm, seed)
        config = replace(run.config, policy=replace(run.config.policy, model=str(run.final_path), roles="shared"))
        training = training_figures(run, plan.assessor_samples)
    notes_of = note_set(seed)
    texts = {AS_WRITTEN: written_notes(plan, notes_of)}
    for attacker in notes_of.attacker_seeds:
        texts[f"attacker {attacker}"] = revised_notes(plan, notes_of, attacker)
    groups: dict[str, dict[str, str]] = {}
    for text, notes in texts.items():
        for group, games in zip(notes, assessed(config, notes, step=plan.steps - 1), strict=True):
            groups.setdefault(group.group, {})[text] = outcomes(written_ids(plan, notes_of, group.group), games)
    content = {"arm": arm, "seed": seed, **plan.settings, "training": training, "groups": groups}
    write_json(file, content)
    sys.stderr.write(f"{file} is written\n")


def trained(plan: Plan, arm: str, seed: int) -> RunFolder:
    """The finished run of one cell: made, gone on with, or taken as it is."""
    path = run_path(plan, arm, seed)
    with make_display() as display:
        if not (path / "run.json").is_file():
            data = path.with_suffix(".train.jsonl")
            write_jsonl(data, training_records(plan, arm, seed))
            is_finished = start_run(arm_config(plan, arm, seed, data), path, usual_listeners(display)).is_finished
        elif not RunFolder.open(path).final_path.is_dir():
            is_finished = resume_run(path, usual_listeners(display)).is_finished
        else:
            is_finished = True
    if not is_finished:
        sys.exit("Stopped. The same command goes on.")
    return RunFolder.open(path)


def arm_config(plan: Plan, arm: str, seed: int, data: Path) -> RunConfig:
    """What one arm plays with: they differ in who attacks, and in nothing else."""
    base = load_preset("demo")
    opponents = {
        POOL: OpponentConfig(add_every=10, size=8, share=0.5),
        FROZEN: OpponentConfig(fixed="demo", share=1.0, sides="attacker"),
    }
    return replace(
        base,
        data=DataConfig(train=str(data)),
        game=replace(base.game, no_attacker_turn=arm in (ALONE, STATIC, RARE)),
        policy=replace(base.policy, roles="separate" if arm in (POOL, APART) else "shared"),
        opponents=opponents.get(arm, base.opponents),
        training=replace(
            base.training,
            seed=seed,
            steps=plan.steps,
            learning_rate=LEARNING_RATE,
            kl_coefficient=plan.kl_coefficient,
            assessor_samples_per_step=plan.assessor_samples,
        ),
    )


def training_records(plan: Plan, arm: str, seed: int) -> list[TrainingRecord]:
    if arm == RARE:
        return played_records(PLAYED_CASES, seed, rare_share=RARE_SHARE)
    if arm != STATIC:
        return played_records(PLAYED_CASES, seed)
    games = learnt_from(trained(plan, POOL, seed).games(), plan.assessor_samples)
    return [dumped(game, number) for number, game in enumerate(games)]


def learnt_from(games: Iterable[Game], samples_per_step: int) -> list[Game]:
    """The games that the assessor of a run learnt from: of each step the first, as many as it was to learn from."""
    steps = Counter[int]()
    found: list[Game] = []
    for game in games:
        is_rewarded = isinstance(game.ruling, Labels) and game.reward_of(Role.ASSESSOR) is not None
        if is_rewarded and steps[game.spec.step] < samples_per_step:
            steps[game.spec.step] += 1
            found.append(game)
    return found


def dumped(game: Game, number: int) -> TrainingRecord:
    """The note that the assessor of ``game`` read, as a note to learn from without any attacker."""
    assert isinstance(game.ruling, Labels)
    assert game.note is not None
    has_error = game.ruling.error_present
    pair = replace(game.spec.pair, case_id=f"dump-{number:06d}")
    if game.spec.data_type.is_adversarial:
        # Nobody marked the sentences of a revision, so each note stands for its own.
        wrong, right = (game.note, pair.corrected_note) if has_error else (pair.error_note, game.note)
        pair = replace(pair, error_note=wrong, corrected_note=right, error_sentence=wrong, corrected_sentence=right)
    return TrainingRecord.of(pair, DataType.VANILLA_HARMFUL if has_error else DataType.VANILLA_BENIGN)


def training_figures(run: RunFolder, samples_per_step: int) -> dict[str, float]:
    """What the arms must have in common, and what it cost."""
    steps = [metrics.values for metrics in run.metrics() if metrics.step >= 0]
    summed = ("samples/assessor", "samples/attacker", "tokens/generated", "tokens/assessor_samples", "seconds/total")
    figures = {name: sum(values.get(name, 0.0) for values in steps) for name in summed}
    # The metric counts all rewarded turns, also those beyond what the step learns from.
    learnt = [min(values.get("samples/assessor", 0.0), samples_per_step) for values in steps]
    figures["assessor_samples_learnt"] = sum(learnt)
    wins = [values["win_rate/attacker"] for values in steps if "win_rate/attacker" in values]
    if wins:
        figures |= {"attacker_wins_first": fmean(wins[:10]), "attacker_wins_last": fmean(wins[-10:])}
    return {name: round(value, 4) for name, value in figures.items()}


def run_path(plan: Plan, arm: str, seed: int) -> Path:
    return plan.runs / f"{arm}-{seed}"


def written_notes(plan: Plan, notes: NoteSet) -> list[HeldoutNotes]:
    groups = heldout_records(plan.heldout_cases, notes.notes_seed)
    return [HeldoutNotes(group, False, tuple(records)) for group, records in groups.items()]


def written_ids(plan: Plan, notes: NoteSet, group: str) -> list[str]:
    """Ids of a group's records, both of a case side by side."""
    return sorted(record.id for record in heldout_records(plan.heldout_cases, notes.notes_seed)[group])


def revised_notes(plan: Plan, notes: NoteSet, attacker: int) -> list[HeldoutNotes]:
    """The held-out notes as an attacker revises them that no arm has met: trained apart, against the warm start."""
    folder = plan.runs / "attackers" / f"{notes.name}-{attacker}"
    data = folder.with_suffix(".train.jsonl")
    if not data.is_file():
        write_jsonl(data, all_attacked(played_records(PLAYED_CASES, attacker)))
    base = load_preset("demo")
    base = replace(base, training=replace(base.training, kl_coefficient=ATTACKER_KL_COEFFICIENT))
    config = best_response_config(
        base, start="demo", assessor="demo", data=data, steps=min(ATTACKER_STEPS, plan.steps), seed=attacker
    )
    model = trained_attacker(config, folder)
    if model is None:
        sys.exit("Stopped. The same command goes on.")
    config = replace(base.begun_on(today()), policy=replace(base.policy, model=str(model)))
    config = replace(config, training=replace(config.training, seed=attacker))
    rollout, judge = TransformersRollout(Policy(config.policy, seed=attacker), config.rollout), reference_judge()
    found: list[HeldoutNotes] = []
    for group in written_notes(plan, notes):
        cached = plan.runs / "notes" / f"{folder.name}-{plan.heldout_cases}-{group.group.replace(' ', '-')}.jsonl"
        if not cached.is_file():
            write_jsonl(cached, attack_notes(group.records, rollout, judge, config, name=group.group).records)
        found.append(HeldoutNotes(group.group, True, tuple(read_jsonl(cached, TrainingRecord))))
    return found


def outcomes(ids: Sequence[str], games: Sequence[Game]) -> str:
    """One letter for each note: H or h with an error, S or s without; a capital for a right verdict, - for no text."""
    letters: dict[str, str] = {}
    for game in games:
        letter = "h" if game.spec.data_type.is_harmful else "s"
        is_right = game.verdict is not None and game.verdict.value.lower().startswith(letter)
        letters[game.spec.record_id] = letter.upper() if is_right else letter
    return "".join(letters.get(name, "-") for name in ids)


def exploit_cell(plan: Plan, arm: str, seed: int) -> None:
    """Train attackers against the assessor of one cell, unless that was done."""
    file = plan.results / "exploit" / f"{arm}-{seed}.json"
    if file.is_file():
        return
    notes = note_set(seed)
    data = plan.runs / "notes" / f"{notes.name}-{plan.heldout_cases}.jsonl"
    if not data.is_file():
        write_jsonl(data, [record for group in written_notes(plan, notes)[:4] for record in group.records])
    output = plan.runs / "exploit" / f"{arm}-{seed}"
    target = "demo" if arm == WARM else str(run_path(plan, arm, seed) / "final")
    steps = min(ATTACKER_STEPS, plan.steps)
    options = ["--data", str(data), "--steps", str(steps), "--seeds", "1", "--tries", "16", "-o", str(output)]
    options += ["--kl-coefficient", str(ATTACKER_KL_COEFFICIENT)]
    if eval_exploit.main([target, *options]) != 0:
        sys.exit("Stopped. The same command goes on.")
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(output / "exploit.json", file)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_text(file) as stream:
        stream.write(json.dumps(content, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
