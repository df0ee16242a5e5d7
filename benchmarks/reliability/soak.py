"""Many clients on the judge's service for a long time: nothing wrong, nothing failed, memory flat.

    python benchmarks/reliability/soak.py -o soak.json [--clients 64] [--minutes 30] [--pause 1]

The service is the real command in a process of its own. Each client asks about notes of which half are new, waits
--pause seconds and asks again. One request in twenty is a bad one: a body that is no JSON, a request that breaks off, a
reply that nobody reads. Memory is sampled throughout; it counts as flat where the median of the last quarter is at most
5 % or 8 MiB above that of the second quarter.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from campaign import Progress, chance_of, end, parser_of, save

from benchmarks.judge_service import Measured, Request, Service, count, post, requests_of
from medical_team.data.load import load_records

SAMPLES = 120
BAD_SHARE = 0.05
FLAT_SHARE, FLAT_MIB = 1.05, 8.0


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--games", type=int, default=16, help="games in each request")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds that a client waits between requests")
    chosen = parser.parse_args()
    measured, bad = Measured(), Counter[str]()
    with Service("sample") as service:
        requests = requests_of(load_records("sample"), "half and half", chosen.games, has_pair=True)
        seconds = 60 * chosen.minutes
        asyncio.run(
            soak(service, requests, measured, bad, chance_of(chosen.seed), chosen.clients, seconds, chosen.pause)
        )
        processor_seconds = service.processor_seconds
    second, last = (median_of(measured.memory, quarter) for quarter in (1, 3))
    is_flat = last <= max(second * FLAT_SHARE, second + FLAT_MIB)
    result = {
        "settings": {"seed": chosen.seed, "clients": chosen.clients, "minutes": chosen.minutes, "games": chosen.games},
        "labels": measured.labels,
        "requests": len(measured.seconds),
        "bad_requests": dict(bad),
        "wrong": measured.wrong,
        "failures": measured.failures,
        "undecided": measured.undecided,
        "median_ms": round(1000 * statistics.median(measured.seconds)),
        "processor_seconds": round(processor_seconds),
        "memory_mib": [round(memory, 1) for memory in measured.memory],
        "memory_second_quarter_mib": round(second, 1),
        "memory_last_quarter_mib": round(last, 1),
        "is_memory_flat": is_flat,
    }
    save(chosen.output, result)
    print({name: value for name, value in result.items() if name != "memory_mib"})
    problems = [f"{measured.wrong} wrong labels"] if measured.wrong else []
    problems += [f"{measured.failures} requests failed"] if measured.failures else []
    problems += [] if is_flat else [f"memory grew from {second:.0f} to {last:.0f} MiB"]
    end(problems)


async def soak(
    service: Service,
    requests: Iterator[Request],
    measured: Measured,
    bad: Counter[str],
    chance: random.Random,
    clients: int,
    seconds: float,
    pause: float,
) -> None:
    deadline = time.monotonic() + seconds
    progress = Progress(seconds, "seconds")

    async def client() -> None:
        await asyncio.sleep(pause * chance.random())
        reader, writer = await asyncio.open_connection(*service.address)
        while time.monotonic() < deadline:
            if chance.random() < BAD_SHARE:
                kind = chance.choice(tuple(BAD))
                await BAD[kind](service, next(requests))
                bad[kind] += 1
            started = time.perf_counter()
            request = next(requests)
            try:
                status, content = await post(reader, writer, request.body)
            except (OSError, EOFError):
                measured.failures += 1
                reader, writer = await asyncio.open_connection(*service.address)
                continue
            measured.seconds.append(time.perf_counter() - started)
            count(status, content, request.truth, measured)
            await asyncio.sleep(2 * pause * chance.random())
        writer.close()

    async def watch() -> None:
        while time.monotonic() < deadline:
            measured.memory.append(service.memory)
            progress.show(seconds - (deadline - time.monotonic()), f"{measured.memory[-1]:.0f} MiB")
            await asyncio.sleep(seconds / SAMPLES)

    await asyncio.gather(watch(), *(client() for _ in range(clients)))
    measured.memory.append(service.memory)


async def no_json(service: Service, request: Request) -> None:
    """A body that is no JSON; it must be refused."""
    reader, writer = await asyncio.open_connection(*service.address)
    status, _ = await post(reader, writer, request.body[1:])
    assert 400 <= status < 500, status
    writer.close()


async def broken_off(service: Service, request: Request) -> None:
    """Half of what was announced, then nothing."""
    _, writer = await asyncio.open_connection(*service.address)
    writer.write(head_of(request) + request.body[: len(request.body) // 2])
    with suppress(OSError):
        await writer.drain()
    writer.close()


async def unread(service: Service, request: Request) -> None:
    """A whole question whose asker is gone before the reply."""
    _, writer = await asyncio.open_connection(*service.address)
    writer.write(head_of(request) + request.body)
    with suppress(OSError):
        await writer.drain()
    writer.transport.abort()


def head_of(request: Request) -> bytes:
    lines = ("POST /judge HTTP/1.1", "Host: localhost", "Content-Type: application/json")
    return "\r\n".join((*lines, f"Content-Length: {len(request.body)}", "", "")).encode()


BAD = {"no JSON": no_json, "broken off": broken_off, "unread": unread}


def median_of(memory: list[float], quarter: int) -> float:
    length = max(1, len(memory) // 4)
    return statistics.median(memory[quarter * length : (quarter + 1) * length] or memory[-1:])


if __name__ == "__main__":
    main()
