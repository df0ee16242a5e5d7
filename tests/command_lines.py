"""The package's commands, run inside the test's own process, also with an end before their time."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from medical_team.cli.main import main


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
