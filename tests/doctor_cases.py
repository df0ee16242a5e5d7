"""What the doctor's tests share: looking with one check, and programs that stand in for those of a machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from medical_team.config import RunConfig
from medical_team.doctor.examination import GROUPS, examine
from medical_team.doctor.findings import Check, Finding, Group
from medical_team.doctor.subject import Limits, Subject


def check_named(name: str) -> Check:
    return next(check for group in GROUPS for check in group.checks if check.name == name)


def look(name: str, subject: Subject) -> Finding:
    """What one check finds, as the command would tell it; what it waits for is taken to be well."""
    return next(examine([Group("Test", (check_named(name),))], subject))


def a_subject(
    config: RunConfig | None = None, *, run: Path | None = None, limits: Limits | None = None, **environment: str | Path
) -> Subject:
    """A subject that sees nothing of this machine's variables but the path of its programs."""
    variables = {"PATH": os.environ["PATH"], **{name: str(value) for name, value in environment.items()}}
    return Subject(config or RunConfig(), run, variables, limits=limits or Limits())


def program(folder: Path, name: str, script: str) -> Path:
    """A real program called ``name`` in ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def fake_torch(
    folder: Path, *, version: str = "2.13.0+cu130", cuda: str | None = "13.0", gpus: int = 1, sums_to: int = 64**3
) -> Path:
    """A module ``torch`` that says it has GPUs and can add; a real process imports it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "torch.py").write_text(
        f"""
import secrets
secrets.token_bytes(1)
__version__ = {version!r}
class version: cuda = {cuda!r}
class cuda:
    is_available = staticmethod(lambda: {gpus} > 0)
    device_count = staticmethod(lambda: {gpus})
    get_device_name = staticmethod(lambda index: "NVIDIA H100 80GB HBM3")
    mem_get_info = staticmethod(lambda index: ((81559 - 512) * 2**20, 81559 * 2**20))
class ones:
    def __init__(self, *shape, device): pass
    def __matmul__(self, other): return self
    def sum(self): return self
    def item(self): return {sums_to}
""",
        encoding="utf-8",
    )
    return folder
