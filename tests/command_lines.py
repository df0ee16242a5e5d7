"""The package's commands, run inside the test's own process; and work that is killed before its time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from medical_team.cli.main import main

_WRITER = """
import os, signal, sys
from pathlib import Path
from medical_team.files import atomic_folder, atomic_text
with atomic_folder(Path(sys.argv[2])) if sys.argv[1] == "folder" else atomic_text(Path(sys.argv[2])) as unfinished:
    if sys.argv[1] == "folder":
        (unfinished / "part").touch()
    else:
        unfinished.write("half")
        unfinished.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """The exit status of ``medical-team`` with ``arguments``, and what it wrote on both streams."""
    capsys.readouterr()
    status = main([*map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def train(*arguments: object) -> int:
    """The exit status of ``medical-team train``."""
    return main(["train", *map(str, arguments)])


def games_text(run: Path) -> str:
    """All that a run has written of its games."""
    return (run / "games.jsonl").read_text(encoding="utf-8")


def killed_when(monkeypatch: pytest.MonkeyPatch, module: ModuleType, function: str, call: int) -> list[str]:
    """Interrupt the command where it would call ``function`` of ``module`` for the ``call``-th time; 0 for never.

    Returns the calls, to which each one is added.
    """
    original, calls = getattr(module, function), list[str]()

    def counted(*arguments: object) -> object:
        calls.append(function)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, function, counted)
    return calls


def killed_while_writing(path: Path, kind: str = "file") -> Path:
    """What stays of the file or folder at ``path``, still under its temporary name."""
    subprocess.run([sys.executable, "-c", _WRITER, kind, str(path)], check=False)
    assert not path.exists()
    (left,) = path.parent.glob(f".{path.name}.*")
    return left
