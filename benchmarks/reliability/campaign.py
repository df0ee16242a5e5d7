"""What the campaigns share: numbers that any machine can draw again, results that are whole, progress."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from medical_team.files import atomic_text  # noqa: E402

SHOWN_EVERY = 10.0


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """A parser with what each campaign takes: a seed and where its result goes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the result, as JSON")
    return parser


def chance_of(seed: int, *names: object) -> random.Random:
    """Random numbers of their own for each trial, whatever was drawn before."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def saved(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The result so far, to go on with; a new one where there is none.

    Raises:
        SystemExit: the file holds a result of other settings.
    """
    if not path.exists():
        return {"settings": settings, "trials": []}
    result = json.loads(path.read_text(encoding="utf-8"))
    if result["settings"] != settings:
        raise SystemExit(f"{path} holds a result of other settings: {result['settings']}. Name another file.")
    return result


def save(path: Path, result: dict[str, Any]) -> None:
    """Write ``result`` whole, so that a campaign that is cut off can go on."""
    with atomic_text(path) as file:
        file.write(json.dumps(result, indent=1) + "\n")


def faults_of(result: dict[str, Any]) -> list[str]:
    """What went wrong in all trials so far."""
    return [fault for trial in result["trials"] for fault in trial["faults"]]


class Progress:
    """A line on the error stream now and then."""

    def __init__(self, total: float, what: str) -> None:
        self._total, self._what = total, what
        self._started = self._shown = time.monotonic()

    def show(self, done: float, detail: str = "") -> None:
        now = time.monotonic()
        if now - self._shown >= SHOWN_EVERY or done >= self._total:
            self._shown = now
            line = f"{done:,.0f} of {self._total:,.0f} {self._what} after {now - self._started:.0f} s"
            print(f"{line}; {detail}" if detail else line, file=sys.stderr, flush=True)


def end(problems: list[str]) -> None:
    """End with 1 and what went wrong, or quietly."""
    for problem in problems:
        print(f"FAULT: {problem}", file=sys.stderr)
    if problems:
        raise SystemExit(1)
