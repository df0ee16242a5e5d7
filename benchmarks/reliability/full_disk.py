"""Every command that writes, on a disk that is full after any number of bytes. Needs the right to mount (root).

    python benchmarks/reliability/full_disk.py -o full_disk.json [--trials 8] [--command train ...]

A small file system in memory is filled so that a random part of what a command writes finds room. The command must end
with 0 or 2, must say that there is no room, and may leave nothing half-made. Then room is made and the same command, or
its --resume, must give the same files as on a disk with room.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaign import Progress, chance_of, end, faults_of, parser_of, save, saved
from commands import OF_RUNS, RESUMED, TIMED, Inputs, contents, make_inputs, writing_commands
from demo_runs import Process, import_all

DISK_BYTES = 96 * 1024 * 1024
NO_ROOM = "No space left on device"


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--trials", type=int, default=8, help="of each command")
    parser.add_argument("--command", action="append", help="this command alone")
    chosen = parser.parse_args()
    result = saved(chosen.output, {"seed": chosen.seed})
    import_all()
    with tempfile.TemporaryDirectory(prefix="full-disk-") as name, small_disk(Path(name) / "disk") as disk:
        folder = Path(name)
        inputs = make_inputs(folder)
        names = chosen.command or list(writing_commands(inputs, disk, folder))
        progress = Progress(chosen.trials * len(names), "trials")
        for command in names:
            tried = sum(trial["command"] == command for trial in result["trials"])
            if tried >= chosen.trials:
                continue
            expected, size = with_room(command, inputs, disk, folder)
            for number in range(tried, chosen.trials):
                room = chance_of(chosen.seed, command, number).randrange(size)
                result["trials"].append(one_trial(command, inputs, disk, folder, expected, room, size))
                save(chosen.output, result)
                progress.show(len(result["trials"]), f"{command}; {len(faults_of(result))} faults")
    result["ends"] = {
        command: dict(Counter(str(trial["status"]) for trial in result["trials"] if trial["command"] == command))
        for command in dict.fromkeys(trial["command"] for trial in result["trials"])
    }
    save(chosen.output, result)
    print({"trials": len(result["trials"]), "ends": result["ends"]})
    end(faults_of(result))


@contextmanager
def small_disk(path: Path) -> Generator[Path]:
    """A file system of its own at ``path``."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def with_room(command: str, inputs: Inputs, disk: Path, folder: Path) -> tuple[dict[str, str], int]:
    """What the command writes where there is room, and how many bytes that takes at the end."""
    clear(disk)
    target = target_on(disk, command)
    process = Process(writing_commands(inputs, target, folder)[command], folder / "log")
    if process.wait() != 0:
        raise SystemExit(f"{command} fails even with room:\n{process.output}")
    status = os.statvfs(disk)
    return contents(target), (status.f_blocks - status.f_bfree) * status.f_frsize


def one_trial(
    command: str, inputs: Inputs, disk: Path, folder: Path, expected: dict[str, str], room: int, size: int
) -> dict[str, Any]:
    """The command with ``room`` bytes, then with enough."""
    clear(disk)
    target = target_on(disk, command)
    ballast = disk / "ballast"
    ballast.touch()
    os.truncate(ballast, 0)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, DISK_BYTES - room)
    arguments = writing_commands(inputs, target, folder)[command]
    process = Process(arguments, folder / "log", cwd=disk)
    status = process.wait()
    faults = problems_after(status, process.output, target, command)
    ballast.unlink()
    resumed = RESUMED.get(command)
    if status == 0:
        again = None
    elif resumed and (target / "run.json").exists():
        again = [resumed, "--resume", str(target)]
    else:
        again = arguments
    if again is not None:
        second = Process(again, folder / "log", cwd=disk)
        if second.wait() != 0:
            faults.append(f"not again with room: exit {second.status}: {second.output[-1500:]}")
    if not faults and command not in TIMED and (found := contents(target)) != expected:
        differing = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        faults.append(f"other contents afterwards: {differing[:5]}")
    where = f"{command} with {room} of {size} bytes"
    return {"command": command, "room": room, "status": status, "faults": [f"{where}: {fault}" for fault in faults]}


def problems_after(status: int | None, output: str, target: Path, command: str) -> list[str]:
    """What is wrong right after a command met a full disk."""
    faults: list[str] = []
    if status not in (0, 2):
        faults.append(f"exit {status}: {output[-2500:]}")
    elif "Traceback" in output:
        faults.append(f"a traceback: {output[-2500:]}")
    elif status == 2 and NO_ROOM not in output:
        faults.append(f"the message doesn't name the cause: {output[-500:]}")
    left = [path for path in target.parent.rglob(".*") if command not in OF_RUNS or target not in path.parents]
    if left:
        faults.append(f"left behind: {left}")
    return faults


def target_on(disk: Path, command: str) -> Path:
    return disk / command.replace(" ", "-")


def clear(disk: Path) -> None:
    for entry in disk.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


if __name__ == "__main__":
    main()
