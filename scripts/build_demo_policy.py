"""Make the demo policy that ships from nothing: a small Llama, warm-started on demonstrations of synthetic notes.

    python scripts/build_demo_policy.py

writes medical_team/policy/demo. The same seed gives the same weights on the same machine. With ``--work FOLDER`` what
was learnt is kept there, and the same command goes on where it was interrupted, to the same weights.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import cast

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from medical_team.cli.quickstart import accuracy_text
from medical_team.config import RunConfig
from medical_team.data.synthetic.demo_world import (
    EDITED,
    TAUGHT,
    UNSEEN,
    UNTAUGHT,
    demo_world,
    demonstrated_records,
    heldout_records,
)
from medical_team.demonstrations.draw import Demonstration, DemonstrationDraw
from medical_team.evaluation.game_metrics import balanced_accuracy
from medical_team.model_files import DEMO_FOLDER
from medical_team.policy.chat import encode_prompt
from medical_team.policy.demo_model import make_demo_model
from medical_team.policy.loading import load_language_model
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_inside import quiet_transformers, save_pretrained
from medical_team.records import Role
from medical_team.rl.experience import warm_start_learning_rate
from medical_team.runs.config_file import load_preset
from medical_team.train.demo_run import assessed, heldout_notes

CASES = 4000
SEED = 11
STATE = "state.pt"
SAVE_EVERY = 100
WATCHED_CASES = 24
"""Held-out cases of taught conditions whose verdicts tell, while it learns, how far it is."""
READING, VERDICT, REVISING = 0.5, 6.0, 3.0
"""The weights of a note, of an assessor's reply and of an attacker's, each the mean over its tokens."""
COPIED_TOKENS = 3
"""A sentence's number and its first two words, by which it is told how well an attacker finds a sentence."""
GUESSED_SHARE = 0.25
"""The share of coin flips in the verdicts that are shown."""
NOTE_END = "▁</note>"
ANY_DAY = date(2026, 1, 1)
"""The demo's chat template asks for no day."""
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

`python scripts/build_demo_policy.py` (seed {seed}): {steps} steps of {batch} demonstrations, whose notes it learnt to
read too, in {minutes:.0f} minutes on one core. Attackers' edits of single sentences were demonstrated for {shown}
conditions; verdicts for {taught} of them. For the others coin flips were shown as verdicts, so that the policy tries
both when it plays; what is right is left to self-play, which plays the taught ones and {untaught} of the others.
{unseen} further conditions occur in no training at all.

- Verdicts taught: {taught_names}.
- Not taught, and played with: {untaught_names}.
- Neither taught nor played with: {edited_names}.
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
    parser.add_argument("--steps", type=int, help="steps of teaching; fewer for a trial")
    parser.add_argument(
        "--work", type=Path, help="where what was learnt is kept; without it, in a folder that is removed"
    )
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
    """Teach an untrained model, or go on with it. Returns the folder of the taught one.

    Each step draws demonstrations as a warm start does, and the model learns the notes too: a verdict is one token of
    a hundred, and from the notes themselves it learns much sooner what their words have to do with one another. Notes
    with and without errors are read alike, so that reading tells nothing about what is right.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer = make_demo_model(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    steps, first = config.warmstart.steps, 0
    if (folder / STATE).is_file():
        state = torch.load(folder / STATE, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    shown = demonstrated_records(CASES, SEED)
    draw = DemonstrationDraw(
        shown.revisions,
        config.game,
        seed=SEED,
        attacker_share=config.warmstart.attacker_share,
        assessor_records=shown.verdicts,
        guessed_records=shown.guesses,
        guessed_share=GUESSED_SHARE,
        is_paired=True,
    )
    watched = {role: [encoded(one, tokenizer) for one in watched_demonstrations(config, role)] for role in Role}
    model.train()
    for step in range(first, steps):
        demonstrations = draw.demonstrations(step, config.warmstart.demonstrations_per_step)
        for group in optimizer.param_groups:
            group["lr"] = warm_start_learning_rate(config, step)
        loss = learn(model, optimizer, [encoded(one, tokenizer) for one in demonstrations])
        if (step + 1) % SAVE_EVERY == 0:
            verdicts = share_right(model, watched[Role.ASSESSOR], 1)
            found = share_right(model, watched[Role.ATTACKER], COPIED_TOKENS, first=1)
            sys.stderr.write(
                f"step {step + 1} of {steps}, loss {loss:.3f}, {verdicts:.0%} of taught verdicts right, "
                f"{found:.0%} of numbered sentences found\n"
            )
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, folder / f"{STATE}.new")
            (folder / f"{STATE}.new").replace(folder / STATE)
    taught = folder / "taught"
    with quiet_transformers():
        save_pretrained(model.eval(), tokenizer, taught)
    return taught


@dataclass(frozen=True)
class Lesson:
    """A demonstration as token ids: what is asked, and what is to be said."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    read: int
    """The first so many tokens of the prompt are read: the note, not the question, which tells attackers the truth."""
    weight: float
    """Of the reply."""


def encoded(demonstration: Demonstration, tokenizer: PreTrainedTokenizerFast) -> Lesson:
    """``demonstration`` as the policy reads and writes it."""
    prompt = encode_prompt(tokenizer, demonstration.prompt, demonstration.reply_prefix, ANY_DAY)
    reply = cast("list[int]", tokenizer(demonstration.reply, add_special_tokens=False)["input_ids"])
    note_end = prompt.index(cast("int", tokenizer.convert_tokens_to_ids(NOTE_END)))
    weight = VERDICT if demonstration.role is Role.ASSESSOR else REVISING
    return Lesson(tuple(prompt), (*reply, cast("int", tokenizer.eos_token_id)), note_end, weight)


def watched_demonstrations(config: RunConfig, role: Role) -> list[Demonstration]:
    """What ``role`` should say of held-out notes of taught conditions, with common errors and rare ones."""
    groups = heldout_records(WATCHED_CASES, SEED).items()
    records = [record for group, held in groups if group.startswith("taught") for record in held]
    draw = DemonstrationDraw(records, config.game, seed=SEED, attacker_share=float(role is Role.ATTACKER))
    return draw.demonstrations(0, len(records))


def share_right(model: LlamaForCausalLM, lessons: list[Lesson], tokens: int, first: int = 0) -> float:
    """In how many of ``lessons`` the likeliest next tokens are the reply's, from its ``first`` to its ``tokens``-th."""
    length = max(len(lesson.prompt) for lesson in lessons) + tokens
    token_ids = torch.full((len(lessons), length), cast("int", model.config.pad_token_id))
    for row, lesson in enumerate(lessons):
        read = lesson.prompt + lesson.reply[:tokens]
        token_ids[row, : len(read)] = torch.tensor(read)
    with torch.no_grad():
        said = model(input_ids=token_ids).logits.argmax(dim=-1).tolist()
    return fmean(
        all(said[row][len(lesson.prompt) + place - 1] == lesson.reply[place] for place in range(first, tokens))
        for row, lesson in enumerate(lessons)
    )


def learn(model: LlamaForCausalLM, optimizer: torch.optim.Optimizer, lessons: list[Lesson]) -> float:
    """One step. Returns the loss: over lessons the mean of the reply's mean loss and the note's, weighted."""
    optimizer.zero_grad()
    total = 0.0
    # In parts of like length, which need little padding.
    lessons = sorted(lessons, key=lambda lesson: len(lesson.prompt) + len(lesson.reply))
    for part in (lessons[: len(lessons) // 2], lessons[len(lessons) // 2 :]):
        length = max(len(lesson.prompt) + len(lesson.reply) for lesson in part)
        token_ids = torch.full((len(part), length), cast("int", model.config.pad_token_id))
        weights = torch.zeros(len(part), length)
        for row, lesson in enumerate(part):
            asked, end = len(lesson.prompt), len(lesson.prompt) + len(lesson.reply)
            token_ids[row, :end] = torch.tensor(lesson.prompt + lesson.reply)
            weights[row, 1 : lesson.read] = READING / lesson.read
            weights[row, asked:end] = lesson.weight / len(lesson.reply)
        is_learnt = weights[:, 1:] > 0
        hidden = model.model(input_ids=token_ids).last_hidden_state[:, :-1]
        logits = model.lm_head(hidden[is_learnt])
        losses = torch.nn.functional.cross_entropy(logits, token_ids[:, 1:][is_learnt], reduction="none")
        loss = (losses * weights[:, 1:][is_learnt]).sum() / len(lessons)
        torch.autograd.backward(loss)
        total += loss.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return total


def save(final: Path, output: Path) -> None:
    """Write the trained model in half precision, which rounds what it says but little, and halves the file."""
    shutil.rmtree(output, ignore_errors=True)
    loaded = load_language_model(str(final), device=torch.device("cpu"), dtype=torch.float16)
    loaded.model.config.name_or_path = loaded.model.name_or_path = loaded.tokenizer.name_or_path = "demo"
    with quiet_transformers():
        save_pretrained(loaded.model, loaded.tokenizer, output)


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
        shown=TAUGHT + UNTAUGHT + EDITED,
        taught=TAUGHT,
        untaught=UNTAUGHT,
        unseen=UNSEEN,
        taught_names=", ".join(world.taught),
        untaught_names=", ".join(world.untaught),
        edited_names=", ".join(world.edited),
        unseen_names=", ".join(world.unseen),
        cases=HELDOUT_CASES,
        rows="\n".join(rows),
    )


if __name__ == "__main__":
    main()
