"""Runs that are killed with SIGKILL at random moments and resumed, until they are done: equal to the bit?

    python benchmarks/reliability/kills.py -o kills.json [--kills 200] [--arm plain --arm opponents ...]

The arms take turns. A run is killed, resumed, killed again, up to eight times, then it runs to its end and is compared
with one of the same arm that nobody killed: games, metrics, all weights, the optimizer's state, past selves, and that
nothing half-made is left. Half of the kills come after a random time, the others up to 30 ms after something begins to
be written: games, metrics, a checkpoint, a past self, the trained model. Only kills count that hit a process at work.
The arm vllm needs vLLM's environment. A campaign that is cut off goes on where it was.
"""

from __future__ import annotations

import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from campaign import Progress, chance_of, end, faults_of, parser_of, save, saved
from demo_runs import ARMS, GAMES_PER_STEP, Process, arguments_of, differences, import_all, lost_games

KILLS_OF_A_RUN = 8
MOST_SECONDS_INTO_A_WRITE = 0.03
WRITTEN = (
    "{run}/games.jsonl",
    "{run}/metrics.jsonl",
    "{run}/checkpoints/.step-*",
    "{run}/opponents/.step-*",
    "{run}/.final*",
    "{run}/final",
    ".{run}.*",
)
"""What a kill may wait for, as patterns beside the run's folder."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--arm", action="append", choices=tuple(ARMS), help="default: all but vllm")
    chosen = parser.parse_args()
    arms = chosen.arm or [arm for arm in ARMS if arm != "vllm"]
    result = saved(chosen.output, {"seed": chosen.seed, "arms": arms})
    if "vllm" not in arms:
        import_all()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        whole = {arm: whole_run(arm, folder) for arm in arms}
        progress = Progress(chosen.kills, "kills")
        while (kills := killed_so_far(result)) < chosen.kills:
            number = len(result["trials"])
            trial = killed_run(arms[number % len(arms)], number, chosen.seed, folder, whole, chosen.kills - kills)
            result["trials"].append(trial)
            save(chosen.output, result)
            progress.show(killed_so_far(result), f"{len(faults_of(result))} faults")
    result["kills"] = killed_so_far(result)
    result["moments"] = dict(Counter(moment for trial in result["trials"] for moment in trial["moments"]))
    save(chosen.output, result)
    print({"kills": result["kills"], "runs": len(result["trials"]), "moments": result["moments"]})
    end(faults_of(result))


def whole_run(arm: str, folder: Path) -> tuple[Path, float]:
    """A run that nobody kills, and how long it took."""
    run = folder / f"whole-{arm}"
    process = Process([*arguments_of(arm, folder), "--run", str(run)], folder / "whole.log", is_fresh=arm == "vllm")
    if process.wait() != 0:
        raise SystemExit(f"the run to compare with failed:\n{process.output}")
    return run, time.monotonic() - process.started


def killed_run(
    arm: str, number: int, seed: int, folder: Path, whole: dict[str, tuple[Path, float]], most: int
) -> dict[str, Any]:
    """One run, killed until it has had enough."""
    whole_path, seconds = whole[arm]
    run = folder / f"run-{number}"
    log = folder / f"run-{number}.log"
    chance = chance_of(seed, arm, number)
    moments: list[str] = []
    faults: list[str] = []
    for _ in range(min(KILLS_OF_A_RUN, most)):
        process = Process(next_command(arm, folder, run), log, is_fresh=arm == "vllm")
        status = wait_for_moment(process, run, seconds, chance)
        if status is None:
            process.kill(signal.SIGKILL)
            process.wait()
            moments.append(moment_of(run, process.output))
        elif status != 0:
            faults.append(f"{arm} {number}: exit {status} after {len(moments)} kills: {process.output[-2000:]}")
            break
        else:
            break
    process = Process(next_command(arm, folder, run), log, is_fresh=arm == "vllm")
    if process.wait() != 0:
        faults.append(f"{arm} {number}: not resumed after {moments}: {process.output[-2000:]}")
    else:
        faults += [f"{arm} {number}: {what} after {moments}" for what in differences(whole_path, run)]
        faults += [f"{arm} {number}: game {name} was played otherwise" for name in lost_games(run)]
    shutil.rmtree(run, ignore_errors=True)
    for left in folder.glob(f".run-{number}.*"):
        shutil.rmtree(left)
    return {"arm": arm, "number": number, "moments": moments, "faults": faults}


def wait_for_moment(process: Process, run: Path, seconds: float, chance: random.Random) -> int | None:
    """Wait until it is time to kill; the exit status where the process has ended before."""
    if chance.random() < 0.5:
        # Often short, so that a run is killed many times before it is done, and sometimes long.
        return process.wait(seconds * chance.random() ** 1.5)
    pattern = chance.choice(WRITTEN)
    before = state_of(run, pattern)
    while process.poll() is None and state_of(run, pattern) == before:
        time.sleep(0.001)
    return process.wait(MOST_SECONDS_INTO_A_WRITE * chance.random())


def state_of(run: Path, pattern: str) -> list[tuple[str, int]]:
    """The files of this pattern and their sizes."""
    found: list[tuple[str, int]] = []
    for path in run.parent.glob(pattern.format(run=run.name)):
        with suppress(OSError):
            found.append((str(path), path.stat().st_size))
    return found


def next_command(arm: str, folder: Path, run: Path) -> list[str]:
    """What a person would type: start it where there is no run yet, else resume it."""
    return ["train", "--resume", str(run)] if run.exists() else [*arguments_of(arm, folder), "--run", str(run)]


def moment_of(run: Path, output: str) -> str:
    """What the process was about when it died, from what it left."""
    if not run.exists():
        return "before the run's folder stood"
    if any(run.glob("final")):
        return "after the last step"
    for place, what in ((run / "checkpoints", "a checkpoint"), (run / "opponents", "a past self"), (run, "the model")):
        if any(place.glob(".step-*")) or any(place.glob(".final*")):
            return f"while {what} was written"
    if "Traceback" in output:
        return "after an error"
    games = (run / "games.jsonl").read_bytes() if (run / "games.jsonl").exists() else b""
    metrics = (run / "metrics.jsonl").read_bytes() if (run / "metrics.jsonl").exists() else b""
    if games and not games.endswith(b"\n"):
        return "while games were written"
    last = games.count(b"\n") // GAMES_PER_STEP
    return "between games and metrics" if last > metrics.count(b"\n") else "while playing or starting"


def killed_so_far(result: dict[str, Any]) -> int:
    return sum(len(trial["moments"]) for trial in result["trials"])


if __name__ == "__main__":
    main()
