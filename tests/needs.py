"""What tests want and a machine may lack. A test that lacks it skips by one of these; the run's end sums them up."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest


@dataclass(frozen=True)
class Need:
    """Something that some tests need, and how to get it."""

    name: str
    remedy: str

    def reason(self, detail: str = "") -> str:
        """Why a test skips, for a marker: ``pytest.mark.skipif(..., reason=AXE.reason())``."""
        return f"needs {self.name}: {self.remedy}{f' ({detail})' if detail else ''}"

    def skip(self, detail: str = "") -> NoReturn:
        """Skip this test, or the module that is being imported."""
        pytest.skip(self.reason(detail), allow_module_level=True)

    def module(self, name: str) -> ModuleType:
        """The module of that name; where it is not installed, skip."""
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            self.skip(str(error))


_FROM_THE_LOCK = "pip install --no-deps -r requirements/test.txt, as make test does"

AXE = Need("axe-core", _FROM_THE_LOCK)
CHROMIUM = Need("Chromium and its driver", "apt-get install chromium chromium-driver")
FILE_WITH_A_HOLE = Need("files with holes of a terabyte", "run the tests on another file system")
INSPECT = Need("inspect_ai", "make test-adapters, which sets up an environment of its own for it")
FULL_DEVICE = Need("/dev/full", "run the tests on Linux")
LINUX = Need("Linux, which tells a process's environment", "run the tests there")
LM_EVAL = Need("lm_eval", "make test-adapters, which sets up an environment of its own for it")
FORK = Need(
    "the Self-RedTeam fork", "it is at github.com/mickelliu/selfplay-redteaming; name its checkout in MEDICAL_TEAM_FORK"
)
MACHINE_WITHOUT_GPU = Need("a machine without a GPU", "CUDA_VISIBLE_DEVICES= make test")
HATCHLING = Need("hatchling", _FROM_THE_LOCK)
MAKE = Need("make", "apt-get install make")
MEDEC = Need("MEDEC's validation set", "it is at github.com/abachaa/MEDEC; name its folder in MEDICAL_TEAM_MEDEC")
MEDHELM = Need("medhelm", "make test-medhelm, which sets up an environment of its own for it")
MEDERRBENCH = Need(
    "MedErrBench's validation sets",
    "they are at github.com/congboma/MedErrBench; name their folder in MEDICAL_TEAM_MEDERRBENCH",
)
MOUNTING = Need("the right to mount a file system", "run the tests as root, outside of a container")
OPENRLHF = Need("OpenRLHF 0.11.2", f"on Linux on x86-64 with Python 3.11 or 3.12, {_FROM_THE_LOCK}")
OPENRLHF_WHOLE = Need(
    "OpenRLHF with Ray, vLLM and DeepSpeed", "make test-openrlhf, which sets up an environment of its own for it"
)
MODEL_ENVIRONMENT = Need("a model in an environment beside this one", "make test, which sets up .venv")
ORDINARY_USER = Need("an ordinary user", "run the tests as anybody but root")
PDOC = Need("pdoc", _FROM_THE_LOCK)
PIP = Need("pip in this environment", "python -m ensurepip, or: uv pip install pip")
PYARROW = Need("pyarrow", _FROM_THE_LOCK)
PYTHON_3_10 = Need("Python 3.10", "install it so that python3.10 runs, for example with pyenv")
SELENIUM = Need("selenium", _FROM_THE_LOCK)
SMOLLM2 = Need("SmolLM2-135M-Instruct", "run medical-team quickstart --policy smollm2 once, with a network")
TENSORBOARD = Need("tensorboard", _FROM_THE_LOCK)
TRACKIO = Need("trackio", "make test-adapters, which sets up an environment of its own for it")
TRANSFORMERS_SERVE = Need("what transformers serve needs", "pip install 'transformers[serving]'")
VERIFIERS = Need("verifiers", "make test-verifiers, which sets up an environment of its own for it")
WANDB = Need("wandb", "make test-adapters, which sets up an environment of its own for it")
VLLM = Need("vLLM", "make test-vllm, which sets up an environment of its own for it")
UVLOOP = Need("uvloop", "pip install uvloop")

ALL = tuple(each for each in list(globals().values()) if isinstance(each, Need))


def skipped_lines(reasons: Iterable[str]) -> list[str]:
    """What was skipped and how to get it, a line for each need, the most tests first; then what skipped otherwise."""
    needed: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for reason in reasons:
        reason = reason.removeprefix("Skipped: ")
        need = next((each.reason() for each in ALL if reason.startswith(each.reason())), None)
        if need is not None:
            needed[need] += 1
        else:
            other[reason] += 1
    return [
        f"{count:5} {'test' if count == 1 else 'tests'}: {reason}"
        for counter in (needed, other)
        for reason, count in sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    ]


def python_3_10() -> str | None:
    """A Python 3.10 that runs, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [shutil.which("python3.10"), *sorted(pyenv.glob("versions/3.10.*/bin/python3.10"))]
    for candidate in filter(None, candidates):
        # pyenv puts a python3.10 on the path that runs only where a version is chosen.
        if subprocess.run([candidate, "-I", "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    return None
