"""Training while its judge fails in every way: nothing lost, nothing wrongly rewarded.

    python benchmarks/reliability/outages.py -o outages.json [--outages 100]

Small runs of the demo policy ask a real service of the reference judge. The service is killed and started again, or
stopped for a while and let go on, at random moments. Between it and the trainer every second answer is spoiled. Each
run must go to its end with all its games. A decided game must have the ruling and the rewards that the judge gives in
this process; all others must be void, with the judge's failure and without a reward, or be undecidable here too. A run
in which the service was only killed or stopped must be equal to the bit to one that was judged in its own process.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from campaign import Progress, chance_of, end, faults_of, parser_of, save, saved
from demo_runs import Process, arguments_of, differences, import_all
from saboteur import Saboteur

from medical_team.game.play import score
from medical_team.judge.protocol import rule_games
from medical_team.judging import reference_judge
from medical_team.records import Game, GameState, JudgeFailure
from medical_team.runs.folder import RunFolder

STEPS = 6
MOST_SECONDS_AWAY = 1.5


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--outages", type=int, default=100)
    chosen = parser.parse_args()
    result = saved(chosen.output, {"seed": chosen.seed})
    import_all()
    with tempfile.TemporaryDirectory(prefix="outages-") as name:
        folder = Path(name)
        whole = folder / "whole"
        process = Process([*run_arguments(folder), "--run", str(whole)], folder / "whole.log")
        if process.wait() != 0:
            raise SystemExit(f"the run to compare with failed:\n{process.output}")
        progress = Progress(chosen.outages, "outages")
        while (outages := outages_so_far(result)) < chosen.outages:
            number = len(result["trials"])
            trial = one_run(number, chosen.seed, folder, whole)
            result["trials"].append(trial)
            save(chosen.output, result)
            progress.show(outages + len(trial["outages"]), f"{len(faults_of(result))} faults")
    result["outages"] = dict(Counter(what for trial in result["trials"] for what in trial["outages"]))
    states = Counter[str]()
    for trial in result["trials"]:
        states.update(trial["states"])
    result["states"] = dict(states)
    save(chosen.output, result)
    print({"outages": outages_so_far(result), "runs": len(result["trials"]), "games": result["states"]})
    end(faults_of(result))


def run_arguments(folder: Path, **more: object) -> list[str]:
    return arguments_of("plain", folder, training__steps=STEPS, checkpoints__save_every=STEPS, **more)


def one_run(number: int, seed: int, folder: Path, whole: Path) -> dict[str, Any]:
    """One run whose judge fails: by its service alone in every third run, else by its answers too."""
    chance = chance_of(seed, "run", number)
    run, record = folder / f"run-{number}", folder / f"record-{number}"
    record.touch()
    outages: list[str] = []
    is_spoiled = number % 3 != 2
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = served(port, folder)
    saboteur = start_saboteur(port, chance.random(), record, run) if is_spoiled else None
    try:
        arguments = run_arguments(
            folder,
            judge__kind="remote",
            judge__url=f"http://127.0.0.1:{saboteur[1] if saboteur else port}",
            judge__timeout_seconds=2.0 if is_spoiled else 30.0,
            judge__queries_per_request=2,
        )
        process = Process([*arguments, "--run", str(run)], folder / f"run-{number}.log")
        while not (run / "games.jsonl").exists() and process.poll() is None:
            time.sleep(0.01)
        while process.wait(2.0 * chance.random()) is None:
            if is_spoiled and chance.random() < 0.5:
                continue
            service = fail(service, port, folder, chance, outages)
    finally:
        service.kill(signal.SIGKILL)
        service.wait()
        if saboteur:
            os.kill(saboteur[0], signal.SIGKILL)
            os.waitpid(saboteur[0], 0)
    outages += record.read_text(encoding="utf-8").split("\n")[:-1]
    faults = [] if process.status == 0 else [f"run {number}: exit {process.status}: {process.output[-2000:]}"]
    states = Counter[str]()
    if not faults:
        opened = RunFolder.open(run)
        for game in [*opened.games(), *opened.heldout_games()]:
            states[game.state.value] += 1
            faults += [f"run {number}: {problem}" for problem in problems_of(game, opened)]
        if len(list(opened.games())) != len((whole / "games.jsonl").read_bytes().splitlines()):
            faults.append(f"run {number}: games are lost")
        if not is_spoiled:
            faults += [f"run {number}: {what} differs" for what in differences(whole, run)]
    shutil.rmtree(run, ignore_errors=True)
    return {"outages": outages, "states": dict(states), "faults": faults}


def served(port: int, folder: Path) -> Process:
    """A service that listens."""
    log = folder / "service.log"
    log.unlink(missing_ok=True)
    process = Process(["judge", "serve", "--judge", "reference", "--port", str(port)], log)
    while "is ready at" not in process.output:
        if process.poll() is not None:
            raise SystemExit(f"no service: {process.output}")
        time.sleep(0.01)
    return process


def fail(service: Process, port: int, folder: Path, chance: random.Random, outages: list[str]) -> Process:
    """Kill the service or stop it for a while. The one that goes on."""
    if chance.random() < 0.5:
        outages.append("killed")
        service.kill(signal.SIGKILL)
        service.wait()
        time.sleep(MOST_SECONDS_AWAY * chance.random())
        return served(port, folder)
    outages.append("stopped")
    service.kill(signal.SIGSTOP)
    time.sleep(MOST_SECONDS_AWAY * chance.random())
    service.kill(signal.SIGCONT)
    return service


def start_saboteur(port: int, seed: float, record: Path, run: Path) -> tuple[int, int]:
    """A process that spoils answers, and the port on which it listens."""
    server = Saboteur(port, random.Random(seed), record, run / "games.jsonl")
    if (process := os.fork()) == 0:
        try:
            server.serve_forever()
        finally:
            os._exit(0)
    listening = server.server_port
    server.server_close()
    return process, listening


def problems_of(game: Game, run: RunFolder) -> list[str]:
    """In what ``game`` is not as the judge of this process has it, or as a failure must be."""
    if game.state is GameState.VOID:
        is_failure = isinstance(game.ruling, JudgeFailure) and not game.ruling.is_abstention
        good = is_failure and not game.rewards
        return [] if good else [f"the void game {game.spec.id} has {game.ruling} and {game.rewards}"]
    rules = run.config.game
    asked = replace(game, state=GameState.AWAITING_RULING, ruling=None, rewards=(), reason="")
    if game.state in (GameState.DECIDED, GameState.UNDECIDABLE):
        (asked,) = rule_games([asked], reference_judge(), rules.undecidable)
    else:
        asked = replace(asked, state=game.state)
    (expected,) = score([asked], rules)
    if expected.state is not game.state or (game.rewards and expected.rewards != game.rewards):
        return [f"game {game.spec.id} is {game.state.value} with {game.rewards}, not {expected.rewards}"]
    return []


def outages_so_far(result: dict[str, Any]) -> int:
    return sum(len(trial["outages"]) for trial in result["trials"])


if __name__ == "__main__":
    main()
