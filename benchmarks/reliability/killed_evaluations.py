"""Evaluations that are killed at random moments and started again, until they are done: the same files?

    python benchmarks/reliability/killed_evaluations.py -o evaluations.json [--kills 40] [--command "eval games" ...]

The commands take turns. Each is killed with SIGKILL, or stopped with SIGINT as Ctrl-C does, and given again as it was,
up to six times; then it runs to its end. Half of the kills come as soon as the next file begins to be written. It must
leave the same files as one that nobody stopped, and nothing beside them. Only kills count that hit a process at work.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from campaign import Progress, chance_of, end, faults_of, parser_of, save, saved
from commands import Inputs, contents, make_inputs, playing_commands
from demo_runs import Process, import_all

KILLS_OF_ONE = 6
INTERRUPTED = 130


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--command", action="append", help="this command alone")
    chosen = parser.parse_args()
    result = saved(chosen.output, {"seed": chosen.seed, "command": chosen.command})
    import_all()
    with tempfile.TemporaryDirectory(prefix="killed-evaluations-") as name:
        folder = Path(name)
        inputs = make_inputs(folder)
        commands = chosen.command or list(playing_commands(inputs, folder))
        whole = {command: whole_one(command, inputs, folder) for command in commands}
        progress = Progress(chosen.kills, "kills")
        while (kills := killed_so_far(result)) < chosen.kills:
            number = len(result["trials"])
            command = commands[number % len(commands)]
            most = min(KILLS_OF_ONE, chosen.kills - kills)
            result["trials"].append(killed_one(command, inputs, folder, number, chosen.seed, whole[command], most))
            save(chosen.output, result)
            progress.show(killed_so_far(result), f"{command}; {len(faults_of(result))} faults")
    result["kills"] = killed_so_far(result)
    result["of"] = dict(Counter(trial["command"] for trial in result["trials"] for _ in trial["kills"]))
    save(chosen.output, result)
    print({"kills": result["kills"], "of": result["of"]})
    end(faults_of(result))


def whole_one(command: str, inputs: Inputs, folder: Path) -> tuple[dict[str, str], float]:
    """What the command writes that nobody stops, and how long it takes."""
    target = folder / "whole" / "out"
    process = Process(playing_commands(inputs, target)[command], folder / "log")
    if process.wait() != 0:
        raise SystemExit(f"{command} fails even by itself:\n{process.output}")
    found = contents(target.parent)
    shutil.rmtree(target.parent)
    return found, time.monotonic() - process.started


def killed_one(
    command: str, inputs: Inputs, folder: Path, number: int, seed: int, whole: tuple[dict[str, str], float], most: int
) -> dict[str, Any]:
    """One command, killed until it has had enough."""
    expected, seconds = whole
    chance = chance_of(seed, command, number)
    target = folder / f"killed-{number}" / "out"
    target.parent.mkdir()
    arguments = playing_commands(inputs, target)[command]
    kills: list[str] = []
    faults: list[str] = []
    for _ in range(most):
        process = Process(arguments, folder / "log")
        if wait_for_moment(process, target.parent, seconds, chance) is not None:
            break
        sent = chance.choice((signal.SIGKILL, signal.SIGINT))
        process.kill(sent)
        status = process.wait()
        if status not in (-signal.SIGKILL, INTERRUPTED, 0) or "Traceback" in process.output:
            faults.append(f"{command} {number}: exit {status} after {sent.name}: {process.output[-2000:]}")
        left = " and one half-written" if any(target.parent.rglob(".*")) else ""
        kills.append(f"{sent.name} with {len(list(target.parent.rglob('*.jsonl')))} files of lines{left}")
    process = Process(arguments, folder / "log")
    if process.wait() != 0:
        faults.append(f"{command} {number}: not gone on with after {kills}: {process.output[-2000:]}")
    elif (found := contents(target.parent)) != expected:
        differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        faults.append(f"{command} {number}: other files after {kills}: {differing[:5]}")
    shutil.rmtree(target.parent)
    return {"command": command, "number": number, "kills": kills, "faults": faults}


def wait_for_moment(process: Process, folder: Path, seconds: float, chance: random.Random) -> int | None:
    """Wait until it is time to kill; the exit status where the process has ended before."""
    process.wait(seconds * chance.random())
    if chance.random() < 0.5:
        before = unfinished_in(folder)
        while process.poll() is None and not unfinished_in(folder) - before:
            time.sleep(0.0005)
    return process.poll()


def unfinished_in(folder: Path) -> set[str]:
    """The hidden files and folders in ``folder``: what is written under a name of its own until it is whole."""
    return {
        str(Path(place) / name)
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if name.startswith(".")
    }


def killed_so_far(result: dict[str, Any]) -> int:
    return sum(len(trial["kills"]) for trial in result["trials"])


if __name__ == "__main__":
    main()
