"""Does self-play help? Arms x seeds from one warm start: the demo policy in its small world.

    python benchmarks/self_play.py --arm shared --seed 101     # one cell; given again, it goes on where it stopped
    python benchmarks/self_play.py --seed 101 102              # every arm of these seeds
    python benchmarks/self_play.py --exploit --arm shared --seed 101
    python benchmarks/self_play.py --table                     # what there is so far
    python benchmarks/self_play.py --table --picture self_play.png

Each cell leaves one small JSON file, and the table is made from these files alone. docs/evidence.md says what the arms
are, which seeds are for development, and what is compared.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

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

WARM, ALONE, SHARED, POOL, APART, FROZEN, STATIC, RARE = ARMS = (
    "warm-start",
    "assessor-only",
    "shared",
    "separate-pool",
    "separate",
    "frozen-attacker",
    "static-dump",
    "rare-notes",
)
FIRST_DEVELOPMENT_SEED = 100
ATTACKER_STEPS = 100
ATTACKER_KL_COEFFICIENT = 0.05
"""Of attackers that are trained to attack alone: they may go further from their start than those of self-play."""
LEARNING_RATE = 6e-4
KL_COEFFICIENT = 0.3
RARE_SHARE = 0.5
"""Of the errors in the notes of rare-notes, as many as attackers are shown to plant."""
PRIMARY = ("untaught conditions, rare errors", "unseen attackers")
AS_WRITTEN = "as written"
BOOTSTRAP_DRAWS = 2000
FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """What all cells of one table share."""

    steps: int
    assessor_samples: int
    heldout_cases: int
    runs: Path
    results: Path

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "package_version": __version__,
            "steps": self.steps,
            "assessor_samples_per_step": self.assessor_samples,
            "heldout_cases": self.heldout_cases,
        }


@dataclass(frozen=True)
class NoteSet:
    """The held-out notes of some seeds, and the attackers that revise them. Development and test share neither."""

    name: str
    notes_seed: int
    attacker_seeds: tuple[int, int]


DEVELOPMENT, TEST = NoteSet("development", 7, (901, 902)), NoteSet("test", 8, (911, 912))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--arm", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seed", type=int, nargs="+", default=[])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--assessor-samples", type=int, default=48, help="of each step, the same for every arm")
    parser.add_argument("--heldout-cases", type=int, default=96, help="in each group")
    parser.add_argument("--exploit", action="store_true", help="train attackers against the cells' assessors")
    parser.add_argument("--table", action="store_true", help="only print what there is")
    parser.add_argument("--picture", type=Path, help="draw the cells of test seeds into this file, PNG or SVG")
    parser.add_argument("--runs", type=Path, default=Path("runs/self_play"))
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/self_play"))
    chosen = parser.parse_args()
    if not chosen.table and not chosen.seed:
        parser.error("name seeds with --seed, or ask for the --table")
    plan = Plan(chosen.steps, chosen.assessor_samples, chosen.heldout_cases, chosen.runs, chosen.results)
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
        other = {name: found.get(name) for name, value in plan.settings.items() if found.get(name) != value}
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
            kl_coefficient=KL_COEFFICIENT,
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


def note_set(seed: int) -> NoteSet:
    return DEVELOPMENT if seed > FIRST_DEVELOPMENT_SEED else TEST


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


Cells = Mapping[tuple[str, int], Mapping[str, Any]]
Letters = np.ndarray[Any, Any]


def cells_in(results: Path) -> Cells:
    """The cells of a folder, by arm and seed."""
    contents = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(results.glob("*.json"))]
    return {(cell["arm"], cell["seed"]): cell for cell in contents}


def report(results: Path) -> str:
    """The tables of the cells in ``results``, development and test apart."""
    cells = cells_in(results)
    parts: list[str] = []
    for notes in (DEVELOPMENT, TEST):
        own = {key: cell for key, cell in cells.items() if note_set(key[1]) is notes}
        if own:
            parts += [f"## Seeds for {notes.name}", "", *held_out_table(own, "balanced accuracy", balanced), ""]
            parts += [*held_out_table(own, "false alarms", false_alarms), "", *differences(own), ""]
            parts += [*exploit_table(results, list(own)), ""]
    return "\n".join(parts) if parts else f"no cell in {results} yet\n"


def held_out_table(cells: Cells, name: str, measure: Callable[[Letters], float]) -> Iterator[str]:
    arms = [arm for arm in ARMS if any(key[0] == arm for key in cells)]
    yield f"| held-out notes ({name}, mean and each seed) | " + " | ".join(arms) + " |"
    yield "|---|" + "---|" * len(arms)
    for group in next(iter(cells.values()))["groups"]:
        for text in (AS_WRITTEN, PRIMARY[1]):
            row: list[str] = []
            for arm in arms:
                values = [measure(letters(cell, group, text)) for key, cell in cells.items() if key[0] == arm]
                row.append(f"{fmean(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})")
            yield f"| {group}, {text} | " + " | ".join(row) + " |"


def letters(cell: Mapping[str, Any], group: str, text: str) -> Letters:
    """The letters of :func:`outcomes`, a row for each case: of one text, or of all unseen attackers side by side."""
    texts = cell["groups"][group]
    chosen = [texts[AS_WRITTEN]] if text == AS_WRITTEN else [texts[name] for name in texts if name != AS_WRITTEN]
    return np.concatenate([np.array(list(found)).reshape(-1, 2) for found in chosen], axis=1)


def balanced(found: Letters) -> float:
    """The mean of both accuracies; not a number where notes with an error, or without one, are missing."""
    rates: list[float] = []
    for letter in "hs":
        right, wrong = (found == letter.upper()).sum(), (found == letter).sum()
        rates.append(float(right / (right + wrong)) if right + wrong else float("nan"))
    return fmean(rates)


def false_alarms(found: Letters) -> float:
    """The share of notes without an error that were called harmful."""
    right, wrong = (found == "S").sum(), (found == "s").sum()
    return float(wrong / (right + wrong)) if right + wrong else float("nan")


def differences(cells: Cells) -> Iterator[str]:
    """Each arm less assessor-only on the primary endpoint: same seeds, same cases, 95 % by drawing both anew."""
    yield f"{', '.join(PRIMARY)}: balanced accuracy less that of {ALONE}, same seeds and cases"
    yield ""
    rng = np.random.default_rng(0)
    for arm in ARMS:
        seeds = [seed for name, seed in cells if name == arm and (ALONE, seed) in cells]
        if arm == ALONE or not seeds:
            continue
        ours = [letters(cells[arm, seed], *PRIMARY) for seed in seeds]
        theirs = [letters(cells[ALONE, seed], *PRIMARY) for seed in seeds]
        draws: list[float] = []
        for _ in range(BOOTSTRAP_DRAWS):
            cases = rng.integers(len(ours[0]), size=len(ours[0]))
            drawn = rng.integers(len(seeds), size=len(seeds))
            draws.append(fmean(balanced(ours[seed][cases]) - balanced(theirs[seed][cases]) for seed in map(int, drawn)))
        value = fmean(balanced(mine) - balanced(other) for mine, other in zip(ours, theirs, strict=True))
        low, high = np.nanquantile(draws, [0.025, 0.975])
        yield f"- {arm}: {value:+.3f} ({low:+.3f} to {high:+.3f}), {len(seeds)} seeds"


def draw(results: Path, picture: Path) -> None:
    """Draw each arm's seeds on the notes that matter, and how often trained attackers win against it."""
    from matplotlib.figure import Figure

    cells = {key: cell for key, cell in cells_in(results).items() if note_set(key[1]) is TEST}
    arms = [arm for arm in ARMS if any(key[0] == arm for key in cells)]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    accuracy, wins = figure.subplots(1, 2, width_ratios=(2, 1), sharey=True)
    shown = (
        ("o", "#0b6e99", "rare errors, as written", PRIMARY[0], AS_WRITTEN),
        ("s", "#c2571a", "rare errors, unseen attackers", *PRIMARY),
        ("^", "#9aa5b1", "common errors, as written", "untaught conditions, common errors", AS_WRITTEN),
    )
    for number, (marker, colour, label, group, text) in enumerate(shown):
        for place, arm in enumerate(arms):
            values = [balanced(letters(cell, group, text)) for key, cell in cells.items() if key[0] == arm]
            height = place + (number - 1) * 0.22
            accuracy.plot(
                values, [height] * len(values), marker, color=colour, alpha=0.5, label=None if place else label
            )
            accuracy.plot([fmean(values)], [height], "|", color=colour, markersize=14, markeredgewidth=2)
    accuracy.axvline(0.5, color="black", linewidth=0.8, linestyle=":")
    accuracy.set(
        xlim=(0.4, 1.0),
        xlabel="balanced accuracy, each seed and their mean; dotted: guessing",
        title="Untaught conditions",
    )
    accuracy.set_yticks(range(len(arms)), arms)
    accuracy.invert_yaxis()
    accuracy.legend(loc="upper right", fontsize=8)
    for place, arm in enumerate(arms):
        found = [stronger_attacker(results, *key) for key in cells if key[0] == arm]
        values = [figures["faithful_wins"]["value"] for figures in found if figures is not None]
        wins.plot(values, [place] * len(values), "D", color="#0b6e99", alpha=0.6)
    wins.set(xlim=(0, 1), xlabel="faithful wins, each seed", title="The stronger attacker trained against it")
    figure.savefig(picture, dpi=110)  # pyright: ignore[reportUnknownMemberType]


def stronger_attacker(results: Path, arm: str, seed: int) -> Mapping[str, Any] | None:
    """The figures of the stronger attacker that was trained against a cell's assessor; None if there is none yet."""
    file = results / "exploit" / f"{arm}-{seed}.json"
    if not file.is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    return content["attackers"][content["stronger"]]


def rate_text(figure: Mapping[str, Any]) -> str:
    """A rate with its 95 % interval; - where there is nothing to rate."""
    value, interval = figure["value"], figure["interval"]
    if value is None:
        return "-"
    return f"{value:.2f}" if interval is None else f"{value:.2f} ({interval['low']:.2f} to {interval['high']:.2f})"


def exploit_table(results: Path, keys: Sequence[tuple[str, int]]) -> Iterator[str]:
    rows: list[str] = []
    for arm, seed in keys:
        figures = stronger_attacker(results, arm, seed)
        if figures is not None:
            names = ("faithful_wins", "missed_errors", "false_alarms", "undecidable", "unfaithful")
            rows.append(f"| {arm}-{seed} | " + " | ".join(rate_text(figures[name]) for name in names) + " |")
    if rows:
        heads = ("missed errors", "false alarms", "undecidable", "unfaithful")
        yield "| the stronger trained attacker against | faithful wins | " + " | ".join(heads) + " |"
        yield "|---" * (2 + len(heads)) + "|"
        yield from rows


if __name__ == "__main__":
    main()
