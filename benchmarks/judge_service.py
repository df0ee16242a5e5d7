"""How many labels a second a judge's service gives to many clients, and whether its memory stays flat.

    python benchmarks/judge_service.py [--references train.jsonl] [--clients 64] [--games 64] [--seconds 20]
    python benchmarks/judge_service.py --references train.jsonl --total 100000 --mix revised

The service is the real command in a process of its own, with the reference judge; the clients are asynchronous ones in
this process, each with a connection of its own, and share the machine with it. Three mixes: notes as the data set has
them, as in vanilla games; each of them revised in a way not seen before; and one half of each. With --text-alone the
games don't bring their case, as those of Self-RedTeam's trainer, and the service finds it. "A processor second" is the
service's own time, whatever else runs on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from medical_team.data.load import load_records  # noqa: E402
from medical_team.judge.protocol import JudgeQuery  # noqa: E402
from medical_team.judge.wire import WireQuery  # noqa: E402
from medical_team.records import TrainingRecord, Verdict  # noqa: E402

MIXES = ("unchanged", "revised", "half and half")
PERCENTILES = (50, 90, 99, 100)
MEMORY_SAMPLES = 5
PREPARED_PER_CLIENT = 10


@dataclass
class Measured:
    seconds: list[float] = field(default_factory=list)
    labels: int = 0
    undecided: int = 0
    failures: int = 0
    wrong: int = 0
    memory: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", default="sample", help='a train.jsonl of `data build`, or "sample"')
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--games", type=int, default=64, help="games in each request")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure each mix")
    parser.add_argument("--total", type=int, help="measure until this many games instead")
    parser.add_argument("--mix", choices=MIXES, action="append", help="measure this mix alone")
    parser.add_argument("--text-alone", action="store_true", help="games don't bring their case")
    chosen = parser.parse_args()
    records = load_records(chosen.references)
    columns = ("games", "labels a second", "a processor second", *(f"p{share} ms" for share in PERCENTILES))
    print(f"| {' | '.join((*columns, 'undecided', 'wrong', 'failures', 'memory MiB'))} |")
    print("|---" * (len(columns) + 4) + "|")
    for mix in chosen.mix or MIXES:
        with Service(chosen.references) as service:
            bodies = requests_of(records, mix, chosen.games, has_pair=not chosen.text_alone)
            # Made before the clock runs: making them is no part of the service.
            prepared = [next(bodies) for _ in range(PREPARED_PER_CLIENT * chosen.clients)]
            bodies = itertools.chain(prepared, bodies)
            processor_before, started = service.processor_seconds, time.perf_counter()
            measured = asyncio.run(measure(service, bodies, chosen.clients, chosen.seconds, chosen.total))
            seconds = time.perf_counter() - started
            print_row(mix, measured, seconds, service.processor_seconds - processor_before)


def print_row(mix: str, measured: Measured, seconds: float, processor_seconds: float) -> None:
    ordered = sorted(measured.seconds)
    cells = [
        mix,
        f"{measured.labels / seconds:,.0f}",
        f"{measured.labels / processor_seconds:,.0f}",
        *(f"{1000 * ordered[(len(ordered) - 1) * share // 100]:.0f}" for share in PERCENTILES),
        f"{measured.undecided / measured.labels:.0%}",
        str(measured.wrong),
        str(measured.failures),
        ", ".join(f"{memory:.0f}" for memory in measured.memory),
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


class Service:
    """The command in a process of its own."""

    def __init__(self, references: str) -> None:
        command = ["judge", "serve", "--judge", "reference", "--references", references, "--port", "0"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "medical_team", *command], cwd=REPOSITORY, text=True, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        line = ""
        while "is ready at" not in line:
            line = self._process.stdout.readline()
            assert line
        self.url = line.split()[-1]

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    @property
    def processor_seconds(self) -> float:
        """What the process has used so far, whatever else ran on the machine."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


def requests_of(
    records: Sequence[TrainingRecord], mix: str, games: int, *, has_pair: bool
) -> Iterator[tuple[bytes, list[bool | None]]]:
    """Bodies of requests without end, and the truth of their notes; None where a revision may have changed it."""
    chance = random.Random(1)
    numbers = itertools.count()
    while True:
        queries: list[str] = []
        truth: list[bool | None] = []
        for _ in range(games):
            record, number = chance.choice(records), next(numbers)
            is_revised = mix == "revised" or (mix == "half and half" and number % 2 == 1)
            note = revised(record.note, number) if is_revised else record.note
            verdict = chance.choice(list(Verdict))
            query = JudgeQuery("", note, verdict, record.pair if has_pair else None, record.data_type)
            queries.append(WireQuery.of(query, number).model_dump_json(exclude_none=True))
            truth.append(None if is_revised else record.data_type.is_harmful)
        yield f'{{"queries":[{",".join(queries)}]}}'.encode(), truth


def revised(note: str, number: int) -> str:
    """``note`` in other words, as no other game has it."""
    for old, new in (("physician", "doctor"), ("because of", "due to"), ("blood pressure", "BP"), ("shows", "reveals")):
        note = note.replace(old, new)
    return f"{note} This is note {number}."


async def measure(
    service: Service, bodies: Iterator[tuple[bytes, list[bool | None]]], clients: int, seconds: float, total: int | None
) -> Measured:
    measured = Measured()
    deadline = time.perf_counter() + seconds

    async def client(number: int) -> None:
        async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=300) as http:
            while measured.labels < total if total is not None else time.perf_counter() < deadline:
                body, truth = next(bodies)
                started = time.perf_counter()
                response = await http.post("/judge", content=body, headers={"Content-Type": "application/json"})
                measured.seconds.append(time.perf_counter() - started)
                count(response, truth, measured)
                if total is not None and measured.labels * MEMORY_SAMPLES >= total * len(measured.memory):
                    measured.memory.append(service.memory)

    measured.memory.append(service.memory)
    await asyncio.gather(*(client(number) for number in range(clients)))
    measured.memory.append(service.memory)
    return measured


def count(response: httpx.Response, truth: Sequence[bool | None], measured: Measured) -> None:
    if response.status_code != 200:
        measured.failures += 1
        return
    labels = json.loads(response.content)["labels"]
    measured.labels += len(labels)
    measured.failures += len(labels) != len(truth)
    for label, expected in zip(labels, truth, strict=False):
        measured.undecided += label["error_present"] is None
        measured.failures += label["is_parsing_error"] and not label["is_abstention"]
        if expected is not None and label["error_present"] is not None:
            measured.wrong += label["error_present"] is not expected


if __name__ == "__main__":
    main()
