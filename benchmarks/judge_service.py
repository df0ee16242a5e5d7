"""How many labels a second a judge's service gives to many clients, and whether its memory stays flat.

    python benchmarks/judge_service.py [--references train.jsonl] [--clients 64] [--games 64] [--seconds 20]
    python benchmarks/judge_service.py --references train.jsonl --total 100000 --mix revised

The service is the real command in a process of its own, with the reference judge; the clients are asynchronous ones in
this process, each with a connection of its own, and share the machine with it. Four mixes: notes as the data set has
them, as in vanilla games; each of them revised by one sentence not seen before; one half of each; and notes of which
every sentence was never seen before. With --text-alone the games don't bring their case, as those of Self-RedTeam's
trainer, and the service finds it. "A processor second" is the service's own time, whatever else runs on the machine;
the clients do as little as they can.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from medical_team.data.load import load_records  # noqa: E402
from medical_team.judge.protocol import JudgeQuery  # noqa: E402
from medical_team.judge.wire import WireQuery  # noqa: E402
from medical_team.records import TrainingRecord, Verdict  # noqa: E402

MIXES = ("unchanged", "revised", "half and half", "rewritten")
SENTENCE_END = re.compile(r"(?<=[a-z])[.] ")
PERCENTILES = (50, 90, 99, 100)
MEMORY_SAMPLES = 5
PREPARED = 320
"""Requests: 320 of 64 games are 20,000 notes, more than the service remembers rulings of."""
PLACEHOLDER = b"qqqq"
VERDICTS = tuple(Verdict)
ERROR_PRESENT = re.compile(rb'"error_present":(true|false|null)')
PRESENT = {b"true": True, b"false": False, b"null": None}


@dataclass
class Measured:
    seconds: list[float] = field(default_factory=list[float])
    labels: int = 0
    undecided: int = 0
    failures: int = 0
    wrong: int = 0
    memory: list[float] = field(default_factory=list[float])


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
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

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


@dataclass(frozen=True)
class Request:
    """``truth`` is that of its notes: present, absent, or None where a revision may have changed it."""

    body: bytes
    truth: tuple[bool | None, ...]


def requests_of(records: Sequence[TrainingRecord], mix: str, games: int, *, has_pair: bool) -> Iterator[Request]:
    """Requests without end. They are made before the clock runs, but for the number that makes a revision a new one."""
    chance = random.Random(1)
    prepared = [request_of(records, mix, games, chance, has_pair=has_pair) for _ in range(PREPARED)]
    for number in itertools.count():
        request = prepared[number % PREPARED]
        yield Request(request.body.replace(PLACEHOLDER, b"%d" % number), request.truth)


def request_of(
    records: Sequence[TrainingRecord], mix: str, games: int, chance: random.Random, *, has_pair: bool
) -> Request:
    queries: list[str] = []
    truth: list[bool | None] = []
    for index in range(games):
        record = chance.choice(records)
        is_revised = mix in ("revised", "rewritten") or (mix == "half and half" and index % 2 == 1)
        note = (rewritten if mix == "rewritten" else revised)(record.note) if is_revised else record.note
        query = JudgeQuery("", note, chance.choice(VERDICTS), record.pair if has_pair else None, record.data_type)
        queries.append(WireQuery.of(query, index).model_dump_json(exclude_none=True))
        truth.append(None if is_revised else record.data_type.is_harmful)
    return Request(f'{{"queries":[{",".join(queries)}]}}'.encode(), tuple(truth))


def revised(note: str) -> str:
    """``note`` in other words, with a sentence that no other game has."""
    for old, new in (("physician", "doctor"), ("because of", "due to"), ("blood pressure", "BP"), ("shows", "reveals")):
        note = note.replace(old, new)
    return f"{note} This is note {PLACEHOLDER.decode()}."


def rewritten(note: str) -> str:
    """``note`` with a word in each sentence that no other game has."""
    return SENTENCE_END.sub(f" of{PLACEHOLDER.decode()}. ", revised(note))


async def measure(
    service: Service, requests: Iterator[Request], clients: int, seconds: float, total: int | None
) -> Measured:
    measured = Measured()
    deadline = time.perf_counter() + seconds

    async def client() -> None:
        reader, writer = await asyncio.open_connection(*service.address)
        while measured.labels < total if total is not None else time.perf_counter() < deadline:
            request = next(requests)
            started = time.perf_counter()
            status, content = await post(reader, writer, request.body)
            measured.seconds.append(time.perf_counter() - started)
            count(status, content, request.truth, measured)
            if total is not None and measured.labels * MEMORY_SAMPLES >= total * len(measured.memory):
                measured.memory.append(service.memory)
        writer.close()

    measured.memory.append(service.memory)
    await asyncio.gather(*(client() for _ in range(clients)))
    measured.memory.append(service.memory)
    return measured


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> tuple[int, bytes]:
    """Ask once. A client library would take as much of the machine as the service does."""
    fields = f"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.writelines((f"POST /judge HTTP/1.1\r\n{fields}\r\n\r\n".encode(), body))
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    size = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(answer[9:12]), await reader.readexactly(size)


def count(status: int, content: bytes, truth: Sequence[bool | None], measured: Measured) -> None:
    if status != 200:
        measured.failures += 1
        return
    said = [PRESENT[found] for found in ERROR_PRESENT.findall(content)]
    measured.labels += len(said)
    measured.failures += len(said) != len(truth)
    measured.undecided += said.count(None)
    # an abstention is no failure
    measured.failures += content.count(b'"is_parsing_error":true') - content.count(b'"is_abstention":true')
    for present, expected in zip(said, truth, strict=False):
        if expected is not None and present is not None:
            measured.wrong += present is not expected


if __name__ == "__main__":
    main()
