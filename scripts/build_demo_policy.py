"""Make the demo policy that ships from nothing: a small Llama, warm-started on demonstrations of synthetic notes.

    python scripts/build_demo_policy.py

writes medical_team/policy/demo. The same seed gives the same weights on the same machine. With ``--work FOLDER`` the
run is kept there, and the same command goes on where it was interrupted, to the same weights.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from medical_team.config import RunConfig
from medical_team.data.synthetic.demo_world import TAUGHT, UNSEEN, UNTAUGHT, demo_world, demonstrated_records
from medical_team.evaluation.game_metrics import balanced_accuracy
from medical_team.judging import reference_judge
from medical_team.policy.demo_model import make_demo_model
from medical_team.policy.loading import DEMO_FOLDER, load_language_model
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_inside import quiet_transformers
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.report.demo import accuracy_text
from medical_team.report.display import make_display
from medical_team.report.listeners import usual_listeners
from medical_team.rl.experience import WarmStart
from medical_team.rl.learner import ReinforceLearner
from medical_team.rl.loop import train as train_run
from medical_team.rl.surroundings import stop_on_signal
from medical_team.runs.config_file import load_preset
from medical_team.runs.folder import RunFolder
from medical_team.train.demo_run import assessed, heldout_notes
from medical_team.train.session import STOP_NOTICE

CASES = 4000
SEED = 11
HELDOUT_CASES = 64

CARD = """\
---
license: apache-2.0
tags:
- clinical-nlp
- red-teaming
- research-only
---

# The demo policy of medical_team

**It speaks synthetic notes, nothing else.** A Llama of {parameters:,} parameters with a word-level tokenizer of
{tokens:,} tokens, trained from random weights on demonstrations of medical_team's synthetic notes. It has never read a
real clinical note, knows no medicine, and is **not for clinical use**. It exists so that self-play can be watched in
minutes on a laptop.

## How it was made

`python scripts/build_demo_policy.py` (seed {seed}): {steps} supervised steps of {batch} demonstrations, in
{minutes:.0f} minutes on two slow cores. Attackers' revisions were demonstrated for {played} conditions; verdicts
for {taught} of them. For the others coin flips were shown as verdicts, so that the policy tries both when it plays;
what is right is left to self-play. {unseen} further conditions occur in no training at all.

- Verdicts taught: {taught_names}.
- Not taught: {untaught_names}.
- Never seen: {unseen_names}.

## What it does

Balanced accuracy of the assessor (0.50 is guessing) with 95 % intervals, on {cases} held-out cases in each group, as
they were written and as the policy itself revised them:

| held-out notes | as written | revised | revisions that can be used |
|---|---|---|---|
{rows}
"""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, default=DEMO_FOLDER)
    parser.add_argument("--steps", type=int, help="supervised steps; fewer for a trial")
    parser.add_argument("--work", type=Path, help="where the run is kept; without it, in a folder that is removed")
    arguments = parser.parse_args()
    config = load_preset("demo")
    if arguments.steps:
        config = replace(config, warmstart=replace(config.warmstart, steps=arguments.steps))
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        final = train(config, arguments.work or Path(folder))
        minutes = (time.monotonic() - start) / 60
        save(final, arguments.output)
    config = replace(config, policy=replace(config.policy, model=str(arguments.output)))
    (arguments.output / "README.md").write_text(card(config, minutes), encoding="utf-8")
    sys.stdout.write(f"wrote {arguments.output} after {minutes:.1f} minutes\n")


def train(config: RunConfig, folder: Path) -> Path:
    """Warm-start an untrained model, or go on with it. Returns the folder of the trained one."""
    shown = demonstrated_records(CASES, SEED)
    if (folder / "run" / "run.json").is_file():
        run = RunFolder.open(folder / "run")
        config = run.config
    else:
        untrained = folder / "untrained"
        model, tokenizer = make_demo_model(SEED)
        with quiet_transformers():
            model.save_pretrained(untrained)
            tokenizer.save_pretrained(untrained)
        config = replace(config, policy=replace(config.policy, model=str(untrained))).resolved
        run = RunFolder.create(folder / "run", config, shown.revisions, kind="warm-start")
    policy = Policy(config.policy, seed=SEED)
    source = WarmStart(run, assessor_records=shown.verdicts, guessed_records=shown.guesses)
    learner = ReinforceLearner(policy, config)
    rollout = TransformersRollout(policy, config.rollout)
    with run.locked(), make_display() as display, stop_on_signal(lambda: display.notice(STOP_NOTICE)) as stop:
        listeners = usual_listeners(display)
        result = train_run(run, learner, rollout, reference_judge(), listeners, stop=stop, source=source)
    if not result.is_finished:
        sys.exit("Stopped. With --work, the same command goes on.")
    return run.final_path


def save(final: Path, output: Path) -> None:
    """Write the trained model in half precision, which rounds what it says but little, and halves the file."""
    shutil.rmtree(output, ignore_errors=True)
    loaded = load_language_model(str(final), device=torch.device("cpu"), dtype=torch.float16)
    loaded.model.config._name_or_path = loaded.model.name_or_path = loaded.tokenizer.name_or_path = "demo"
    with quiet_transformers():
        loaded.model.save_pretrained(output)
        loaded.tokenizer.save_pretrained(output)


def card(config: RunConfig, minutes: float) -> str:
    """The model card, with figures of the policy that ``config`` names."""
    policy = Policy(config.policy, seed=SEED)
    notes = heldout_notes(config, HELDOUT_CASES)
    games = assessed(config, notes, step=-1)
    cells = {
        (group.group, group.is_revised): (balanced_accuracy(played), len(group.records))
        for group, played in zip(notes, games, strict=True)
    }
    rows: list[str] = []
    for group in dict.fromkeys(item.group for item in notes):
        (written, asked), (revised, usable) = cells[group, False], cells[group, True]
        texts = [accuracy_text(accuracy) if accuracy else "-" for accuracy in (written, revised)]
        rows.append(f"| {group} | {texts[0]} | {texts[1]} | {usable} of {asked} |")
    world = demo_world()
    return CARD.format(
        parameters=sum(weights.numel() for weights in policy.model.parameters()),
        tokens=len(policy.tokenizer),
        seed=SEED,
        steps=config.warmstart.steps,
        batch=config.warmstart.demonstrations_per_step,
        minutes=minutes,
        played=TAUGHT + UNTAUGHT,
        taught=TAUGHT,
        unseen=UNSEEN,
        taught_names=", ".join(world.taught),
        untaught_names=", ".join(world.untaught),
        unseen_names=", ".join(world.unseen),
        cases=HELDOUT_CASES,
        rows="\n".join(rows),
    )


if __name__ == "__main__":
    main()
