"""Say which versions in this environment differ from the lock, and which releases are newer than the ranges allow.

    .venv-latest/bin/python scripts/compare_with_lock.py

`make test-latest` ends with it. Differences are what it is for, so they are no failure.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).resolve().parent.parent / "requirements" / "test.txt"
PACKAGE = "medical-team"
# What makes the environment itself, and the CUDA libraries that torch names exactly.
_NOT_OURS = re.compile(rf"{PACKAGE}|pip|triton|nvidia-.*|cuda-.*")


def locked_versions(lock: str) -> dict[str, str]:
    """The versions by name that the text of a lock gives for this Python and this system."""
    requirements = [Requirement(line) for line in lock.splitlines() if line and not line.startswith("#")]
    return {
        canonicalize_name(each.name): str(each.specifier).removeprefix("==")
        for each in requirements
        if each.marker is None or each.marker.evaluate()
    }


def installed_versions() -> dict[str, str]:
    """The versions by name of all that is installed here."""
    return {canonicalize_name(each.metadata["Name"]): each.version for each in metadata.distributions()}


def differences(locked: Mapping[str, str], installed: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name, locked and installed version of all that differs; a dash where there is none."""
    return [
        (name, locked.get(name, "-"), installed.get(name, "-"))
        for name in sorted(locked.keys() | installed.keys())
        if locked.get(name) != installed.get(name) and not _NOT_OURS.fullmatch(name)
    ]


def held_back(requirements: Iterable[str], newest: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name, range and newest release of what we require ourselves and could have newer, by name."""
    ranges = {canonicalize_name(each.name): str(each.specifier) for each in map(Requirement, requirements)}
    return [(name, ranges[name], newest[name]) for name in sorted(ranges.keys() & newest.keys())]


def newest_releases() -> dict[str, str]:
    """The newest release by name of what is older here, as pip says."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "list", "--outdated", "--format", "json"]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {canonicalize_name(each["name"]): each["latest_version"] for each in json.loads(ended.stdout)}


def _table(title: str, rows: list[tuple[str, str, str]], heads: tuple[str, str, str]) -> str:
    if not rows:
        return f"{title}: none\n"
    lines = [heads, *rows]
    widths = [max(len(row[column]) for row in lines) for column in range(2)]
    return f"{title}:\n" + "".join(f"  {a:{widths[0]}}  {b:{widths[1]}}  {c}\n" for a, b, c in lines)


def main() -> int:
    """Print both tables."""
    changed = differences(locked_versions(LOCK.read_text(encoding="utf-8")), installed_versions())
    newer = held_back(metadata.requires(PACKAGE) or [], newest_releases())
    print(_table("Versions that differ from the lock", changed, ("name", "locked", "here")))
    print(_table("Newer releases that were not taken", newer, ("name", "allowed", "newest")))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
