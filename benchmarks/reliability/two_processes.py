"""Two processes at once on one place, for every command that writes, and readers beside a run that trains.

    python benchmarks/reliability/two_processes.py -o two_processes.json [--trials 4] [--command train ...]

Both are given the same arguments, the second up to half a second after the first. Each must end with 0 or 2 and
without a traceback, one of them with 0, and the result must be that of one process alone, with nothing half-made
beside it. Runs are also resumed by two processes, and read by every command that reads while they train.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from campaign import Progress, chance_of, end, faults_of, parser_of, save, saved
from commands import TIMED, Inputs, contents, done, make_inputs, writing_commands
from demo_runs import Process, arguments_of, differences, import_all

MOST_SECONDS_APART = 0.5
READERS: dict[str, Callable[[str, str], list[str]]] = {
    "report": lambda run, out: ["report", run, "-o", out],
    "games": lambda run, out: ["games", run, "--form", "jsonl", "-o", out],
    "rejudge": lambda run, out: ["rejudge", run, "--judge", "reference", "-o", out],
    "export": lambda run, out: ["export", run, "-o", out],
}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--trials", type=int, default=4, help="of each command")
    parser.add_argument("--command", action="append", help="this command alone")
    chosen = parser.parse_args()
    result = saved(chosen.output, {"seed": chosen.seed})
    import_all()
    with tempfile.TemporaryDirectory(prefix="two-processes-") as name:
        folder = Path(name)
        inputs = make_inputs(folder)
        names = chosen.command or [
            *writing_commands(inputs, folder, folder),
            "resume",
            *(f"{one} beside" for one in READERS),
        ]
        progress = Progress(chosen.trials * len(names), "trials")
        for command in names:
            tried = sum(trial["command"] == command for trial in result["trials"])
            for number in range(tried, chosen.trials):
                apart = MOST_SECONDS_APART * chance_of(chosen.seed, command, number).random() ** 3
                statuses, faults = one_trial(command, inputs, folder, apart)
                result["trials"].append({"command": command, "statuses": statuses, "faults": faults})
                save(chosen.output, result)
                progress.show(len(result["trials"]), f"{command}; {len(faults_of(result))} faults")
    result["ends"] = {
        command: dict(
            Counter(str(sorted(trial["statuses"])) for trial in result["trials"] if trial["command"] == command)
        )
        for command in dict.fromkeys(trial["command"] for trial in result["trials"])
    }
    save(chosen.output, result)
    print({"trials": len(result["trials"]), "ends": result["ends"]})
    end(faults_of(result))


def one_trial(command: str, inputs: Inputs, folder: Path, apart: float) -> tuple[list[int | None], list[str]]:
    """Two processes, and what is wrong afterwards."""
    place = folder / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    if command == "resume":
        return resumed_twice(inputs, folder, place / "run", apart)
    if command.endswith(" beside"):
        return read_beside(command.removesuffix(" beside"), folder, place, apart)
    alone = folder / f"alone-{command.replace(' ', '-')}"
    if not alone.exists():
        done(writing_commands(inputs, alone, folder)[command], folder)
    target = place / "result"
    statuses, faults = both(writing_commands(inputs, target, folder)[command], folder, apart)
    if 0 not in statuses:
        faults.append("neither came to its end")
    elif command not in TIMED and contents(target) != contents(alone):
        faults.append("the result is not that of one process")
    if left := [path.name for path in place.rglob(".*")]:
        faults.append(f"left behind: {left}")
    return statuses, [f"{command}, {apart:.2f} s apart: {fault}" for fault in faults]


def both(arguments: list[str], folder: Path, apart: float) -> tuple[list[int | None], list[str]]:
    """The same command twice."""
    first = Process(arguments, folder / "first.log", cwd=folder)
    time.sleep(apart)
    second = Process(arguments, folder / "second.log", cwd=folder)
    statuses = [process.wait() for process in (first, second)]
    return statuses, [fault for process in (first, second) for fault in faults_in(process)]


def faults_in(process: Process) -> list[str]:
    is_well = process.status in (0, 2) and "Traceback" not in process.output
    return [] if is_well else [f"exit {process.status}: {process.output[-2000:]}"]


def resumed_twice(inputs: Inputs, folder: Path, run: Path, apart: float) -> tuple[list[int | None], list[str]]:
    """A run that was killed after its first checkpoint, resumed by two processes."""
    process = Process([*arguments_of("plain", folder), "--run", str(run)], folder / "killed.log")
    while not (run / "checkpoints" / "step-000001").exists() and process.poll() is None:
        time.sleep(0.005)
    process.kill(signal.SIGKILL)
    process.wait()
    statuses, faults = both(["train", "--resume", str(run)], folder, apart)
    faults += differences(inputs.run, run) if 0 in statuses else ["neither came to its end"]
    return statuses, [f"resume, {apart:.2f} s apart: {fault}" for fault in faults]


def read_beside(reader: str, folder: Path, place: Path, apart: float) -> tuple[list[int | None], list[str]]:
    """A run that trains, read over and over by one command until it ends."""
    run = place / "run"
    training = Process([*arguments_of("plain", folder), "--run", str(run)], folder / "first.log")
    statuses: list[int | None] = []
    faults: list[str] = []
    while not run.exists() and training.poll() is None:
        time.sleep(0.005)
    while training.poll() is None:
        time.sleep(apart)
        reading = Process(READERS[reader](str(run), str(place / f"out-{len(statuses)}")), folder / "second.log")
        statuses.append(reading.wait())
        faults += faults_in(reading)
    faults += faults_in(training)
    if training.status != 0:
        faults.append("the run was disturbed")
    return sorted(set(statuses), key=str), [f"{reader} beside training: {fault}" for fault in faults]


if __name__ == "__main__":
    main()
