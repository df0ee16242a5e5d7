from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import tomllib
import yaml

from needs import MAKE


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_pushes_are_tested_and_each_week_the_newest_releases(repository: Path, text: str) -> None:
    # YAML takes the key `on` for a truth value.
    workflow = yaml.safe_load(text)
    events, jobs = workflow[True], workflow["jobs"]

    assert {"push", "pull_request", "schedule"} <= events.keys()
    assert "push" in jobs["test"]["if"]
    assert "schedule" in jobs["latest"]["if"]
    assert [job["steps"][-1]["run"] for job in jobs.values()] == [".ci/run", "make test-latest"]
    assert os.access(repository / ".ci" / "run", os.X_OK)


def test_every_python_that_the_package_names_is_tested(repository: Path, text: str) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))

    assert named
    for job in yaml.safe_load(text)["jobs"].values():
        assert job["strategy"]["matrix"]["python"] == named


def test_the_workflow_may_read_alone_and_runs_pinned_actions(text: str) -> None:
    workflow = yaml.safe_load(text)
    used = re.findall(r"uses: (\S+)", text)

    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)


@pytest.mark.skipif(shutil.which("make") is None, reason=MAKE.reason())
def test_help_names_what_a_person_would_make(repository: Path) -> None:
    told = subprocess.run(["make", "help"], cwd=repository, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", (repository / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert targets is not None
    steps_of_test = {"lint", "types", "imports", "tests"}
    assert {*targets[1].split()} - steps_of_test - {"help"} <= {*re.findall(r"make ([\w-]+)", told)}


def test_every_test_that_make_runs_exists(repository: Path) -> None:
    named = re.findall(r"(?<![\w-])tests/\S+", (repository / "Makefile").read_text(encoding="utf-8"))

    assert named
    assert [path for path in named if not [*repository.glob(path.rstrip(")"))]] == []
