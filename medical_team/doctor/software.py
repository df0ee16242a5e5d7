"""Python and the libraries that this very run needs here."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib import metadata

from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .subject import Subject

OLDEST_PYTHON = (3, 11)

REQUIREMENTS: Mapping[str, Mapping[str, str]] = {
    "": {
        "httpx": "0.28", "numpy": "2", "pydantic": "2.11", "rapidfuzz": "3.13", "rich": "14",
        "scipy": "1.15", "tomli-w": "1.2", "tyro": "1.0",
    },
    "train": {
        "torch": "2.6", "transformers": "5.0", "peft": "0.18", "safetensors": "0.5", "filelock": "3.13",
        "gguf": "0.17", "huggingface-hub": "1.0", "tokenizers": "0.21", "matplotlib": "3.9", "tensorboard": "2.19",
    },
    "judge": {"fastapi": "0.116", "uvicorn": "0.35", "prometheus-client": "0.22"},
}  # fmt: skip
"""The oldest versions that do, by extra; the empty one is what every command needs. A test compares pyproject.toml."""


def python(subject: Subject) -> Seen:
    """The Python that runs this."""
    found = f"Python {platform.python_version()}, {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return failed(found, f"make an environment with Python {wanted} or newer: python{wanted} -m venv .venv")
    return ok(found)


def core_libraries(subject: Subject) -> Seen:
    """What every command needs."""
    return _libraries("", "pip install --upgrade medical-team")


def training_libraries(subject: Subject) -> Seen:
    """What training in this process needs, and a judging model in it."""
    if not subject.is_local and "model" not in subject.judge_kinds:
        return skipped(f"the engine {subject.config.engine.kind} trains with its own libraries")
    return _libraries("train", "pip install 'medical-team[train]'")


def judge_libraries(subject: Subject) -> Seen:
    """What serving a judge needs."""
    if "remote" not in subject.judge_kinds:
        return skipped("no judge is served for this run")
    seen = _libraries("judge", "pip install 'medical-team[judge]', where the judge is served")
    # The service may run in another environment, or on another machine.
    return seen if seen.mend == "" else warning(seen.found, seen.mend)


def _libraries(extra: str, mend: str) -> Seen:
    missing: list[str] = []
    old: list[str] = []
    versions: list[str] = []
    for name, oldest in REQUIREMENTS[extra].items():
        version = _version(name)
        if version is None:
            missing.append(name)
        elif _numbers(version) < _numbers(oldest):
            old.append(f"{name} {version} (needs {oldest})")
        else:
            versions.append(f"{name} {version}")
    if missing or old:
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        return failed("; ".join([*parts, *([f"too old: {', '.join(old)}"] if old else [])]), mend)
    shown = versions[:3] + ([f"and {len(versions) - 3} more"] if len(versions) > 3 else [])
    return ok(", ".join(shown))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``2.6.0+cpu`` is (2, 6, 0)."""
    numbers: list[int] = []
    for part in version.partition("+")[0].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


GROUP = Group(
    "Software",
    (
        Check("python", python),
        Check("libraries", core_libraries),
        Check("training_libraries", training_libraries),
        Check("judge_libraries", judge_libraries),
    ),
)
