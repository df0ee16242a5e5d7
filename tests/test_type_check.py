"""What one environment can't check for types, another does, as strictly.

pyright passes in silence over files that are excluded or absent, also where they are named to it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import tomllib

TARGETS = {"test-adapters": "harnesses", "test-verifiers": "verifiers", "test-medhelm": "medhelm"}


def settings_of(repository: Path, environment: str) -> dict[str, Any]:
    text = (repository / f"pyright.{environment}.json").read_text(encoding="utf-8")
    return json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))


@pytest.fixture(scope="module")
def settings(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pyright"]


def test_what_is_excluded_is_what_the_other_environments_check(repository: Path, settings: dict[str, Any]) -> None:
    elsewhere = [path for environment in TARGETS.values() for path in settings_of(repository, environment)["include"]]

    assert sorted(elsewhere) == sorted(set(settings["exclude"]) - {"**/__pycache__"})
    assert [path for path in elsewhere if not (repository / path).exists()] == []


def test_every_environment_checks_as_strictly(repository: Path, settings: dict[str, Any]) -> None:
    assert settings["typeCheckingMode"] == "strict"
    for environment in TARGETS.values():
        found = settings_of(repository, environment)
        assert found.keys() == {"extends", "include", "exclude"}
        assert (found["extends"], found["exclude"]) == ("pyproject.toml", ["**/__pycache__"])


@pytest.mark.parametrize(("target", "environment"), TARGETS.items())
def test_make_checks_before_it_tests_and_so_does_continuous_integration(
    repository: Path, target: str, environment: str
) -> None:
    makefile = (repository / "Makefile").read_text(encoding="utf-8")
    rule = re.search(rf"^{target}: (.*)\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    python = f"$({environment.upper()}_VENV)/bin/python"

    assert rule is not None
    assert "$(VENV)/.dev" in rule[1].split()
    assert rule[2].splitlines()[0] == f"\t$(BIN)/pyright -p pyright.{environment}.json --pythonpath {python}"
    assert f"make {target}" in (repository / ".ci" / "run").read_text(encoding="utf-8").splitlines()
