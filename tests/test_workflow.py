import os
import re

import pytest
import tomllib
import yaml


@pytest.fixture(scope="module")
def text(repository):
    return (repository / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_pushes_are_tested_and_each_week_the_newest_releases(repository, text):
    # YAML takes the key `on` for a truth value.
    workflow = yaml.safe_load(text)
    events, jobs = workflow[True], workflow["jobs"]

    assert {"push", "pull_request", "schedule"} <= events.keys()
    assert "push" in jobs["test"]["if"]
    assert "schedule" in jobs["latest"]["if"]
    assert [job["steps"][-1]["run"] for job in jobs.values()] == [".ci/run", "make test-latest"]
    assert os.access(repository / ".ci" / "run", os.X_OK)


def test_every_python_that_the_package_names_is_tested(repository, text):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))

    assert named
    for job in yaml.safe_load(text)["jobs"].values():
        assert job["strategy"]["matrix"]["python"] == named


def test_the_workflow_may_read_alone_and_runs_pinned_actions(text):
    workflow = yaml.safe_load(text)
    used = re.findall(r"uses: (\S+)", text)

    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    assert used
    assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) for action in used)
