"""The commands that write, each small, with what they read already made: for campaigns that disturb their writing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from demo_runs import Process, arguments_of


@dataclass(frozen=True)
class Inputs:
    """What commands read, made once."""

    csv: Path
    records: Path
    heldout: Path
    run: Path


def make_inputs(folder: Path) -> Inputs:
    """Notes, records and a finished run in ``folder``."""
    csv, built, run = folder / "notes.csv", folder / "built", folder / "finished"
    if not run.exists():
        done(["data", "synth", "--notes", "120", "-o", str(csv)], folder)
        done(["data", "build", str(csv), "--heldout", "0.3", "-o", str(built)], folder)
        done([*arguments_of("plain", folder), "--run", str(run)], folder)
    return Inputs(csv, built / "train.jsonl", built / "heldout.jsonl", run)


def done(arguments: list[str], folder: Path, cwd: Path | None = None) -> str:
    """Run a command that must succeed; what it said."""
    process = Process(arguments, folder / "command.log", cwd=cwd)
    if process.wait() != 0:
        raise SystemExit(f"medical-team {' '.join(arguments)} failed:\n{process.output}")
    return process.output


def playing_commands(inputs: Inputs, target: Path) -> dict[str, list[str]]:
    """Arguments of each evaluation in which a model plays, into ``target``."""
    run, heldout, out = str(inputs.run), str(inputs.heldout), str(target)
    kept = ["--data", heldout, "--keep-training-notes", "-o", out]
    texts = ["--medec", str(inputs.csv), "--texts", "96", "--training-texts", "keep", "--batch-size", "4", "-o", out]
    exploit = ["--steps", "2", "--seeds", "1", "--games", "8", "--tries", "3", "--tried-games", "4"]
    return {
        "eval games": ["eval", "games", run, "demo", "--games", "16", "--device", "cpu", *kept],
        "eval medec": ["eval", "medec", run, "--device", "cpu", *texts],
        "eval crossplay": ["eval", "crossplay", run, "--games", "8", "--device", "cpu", *kept],
        "eval exploit": ["eval", "exploit", run, *exploit, *kept],
    }


def writing_commands(inputs: Inputs, target: Path, folder: Path) -> dict[str, list[str]]:
    """Arguments of each command that writes, to ``target``."""
    run, out = str(inputs.run), str(target)
    playing = ["--games", "8", "--device", "cpu", "--keep-training-notes", "--prompt-style", "terse"]
    return {
        "data synth": ["data", "synth", "--notes", "120", "-o", out],
        "data build": ["data", "build", str(inputs.csv), "--heldout", "0.3", "-o", out],
        "data convert": ["data", "convert", str(inputs.records), "-o", out],
        "train": [*arguments_of("plain", folder), "--run", out],
        "train with opponents": [*arguments_of("opponents", folder), "--run", out],
        "warmstart": [
            "warmstart",
            *arguments_of("plain", folder, warmstart__steps=3, warmstart__demonstrations_per_step=4)[1:],
            *("--run", out),
        ],
        "export": ["export", run, "-o", out],
        "report": ["report", run, "-o", out],
        "games": ["games", run, "--form", "csv", "-o", out],
        "rejudge": ["rejudge", run, "--judge", "reference", "-o", out],
        "judge audit": ["judge", "audit", "--medec", str(inputs.csv), "--cases", "10", "-o", out],
        "eval medec": ["eval", "medec", "all-safe", "--medec", str(inputs.csv), "-o", out],
        "eval games": ["eval", "games", run, "--data", str(inputs.heldout), *playing, "-o", out],
        **{name: playing_commands(inputs, target)[name] for name in ("eval crossplay", "eval exploit")},
    }


RESUMED = {"train": "train", "train with opponents": "train", "warmstart": "warmstart"}
"""Commands whose run goes on with --resume, and the command that does."""

OF_RUNS = (*RESUMED, "eval exploit")
"""Commands that write into a run, which holds hidden files until it is resumed."""

NOT_COMPARED = ("run.json", "lock", "README.md", "metrics.jsonl", "evaluation.json")
"""Files that hold times or measures of the machine."""


TIMED = ("judge audit",)
"""Commands whose result holds how long they took."""


def contents(path: Path) -> dict[str, str]:
    """The hash of each file at ``path`` that two equal results share."""
    if path.is_file():
        return {"": hashlib.sha256(path.read_bytes()).hexdigest()}
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and file.name not in NOT_COMPARED
        and not {"tensorboard", "abandoned"} & {part.name for part in file.parents}
    }
