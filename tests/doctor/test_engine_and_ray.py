from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from doctor_cases import a_subject, look, program
from local_server import QuietHandler, local_server, running
from medical_team.config import EngineConfig, PolicyConfig, RunConfig
from medical_team.doctor.findings import Finding, Status
from medical_team.doctor.subject import Limits
from medical_team.engines.installed import PACKAGE_FOLDER, PLAYING_LIBRARIES
from needs import OPENRLHF

RAY_SECONDS = 2.0
MODEL = PolicyConfig(model="Qwen/Qwen2.5-3B-Instruct", adaptation="full")


def found(name: str, *, policy: PolicyConfig = MODEL, path: Path | str | None = None, **engine: Any) -> Finding:
    options: dict[str, Any] = {"kind": "openrlhf", **engine}
    config = RunConfig(engine=EngineConfig(**options), policy=policy)
    return look(name, a_subject(config, limits=Limits(ray=RAY_SECONDS), PATH=path or os.environ["PATH"]))


def engine_with(folder: Path, *distributions: str, version: str = "0.11.2") -> Path:
    """A Python that says it has an engine and ``distributions``."""
    told = {
        "executable": str(folder / "python"),
        "version": "3.11.7",
        "distributions": {"openrlhf": version, **dict.fromkeys(distributions, "1.0")},
        "folder": str(folder / "openrlhf"),
    }
    return program(folder, "python", f"echo '{json.dumps(told)}'")


def test_the_local_engine_needs_no_other() -> None:
    for name in ("engine", "engine_options"):
        assert found(name, kind="local").status is Status.OK
    for name in ("red_team", "red_team_imports", "engine_command", "ray"):
        assert found(name, kind="local").status is Status.SKIPPED


def test_a_python_that_is_not_there_fails(tmp_path: Path) -> None:
    finding = found("engine", python=str(tmp_path / "bin" / "python"))
    assert finding.status is Status.FAILED
    assert "there is no such program" in finding.found


def test_an_engine_that_is_not_installed_is_installed(tmp_path: Path) -> None:
    told: dict[str, object] = {"executable": "python", "version": "3.11.7", "distributions": {}, "folder": None}
    python = program(tmp_path, "python", f"echo '{json.dumps(told)}'")

    finding = found("engine", python=str(python))

    assert finding.status is Status.FAILED
    assert finding.found.startswith("OpenRLHF is not installed for python")
    assert "pip install 'openrlhf[vllm]==0.11.2'" in finding.found


def test_an_engine_without_its_libraries_names_them(tmp_path: Path) -> None:
    python = engine_with(tmp_path, "ray", "vllm")

    finding = found("engine", python=str(python))

    assert finding.status is Status.FAILED
    assert finding.found.endswith("it doesn't train without deepspeed, flash-attn")
    assert finding.mend == f"{python} -m pip install deepspeed flash-attn"


def test_another_version_is_a_warning_and_the_right_one_is_well(tmp_path: Path) -> None:
    libraries = ("ray", "vllm", "deepspeed", "flash-attn", *PLAYING_LIBRARIES)
    lacking = engine_with(tmp_path / "lacking", *libraries[:-1])
    old = engine_with(tmp_path / "old", *libraries, version="0.9.0")
    right = engine_with(tmp_path / "right", *libraries)

    warned, well = (found("engine", python=str(python)) for python in (old, right))

    assert f"{lacking} -m pip install {PLAYING_LIBRARIES[-1]}" in found("engine", python=str(lacking)).found
    assert warned.status is Status.WARNING
    assert "OpenRLHF 0.9.0 is installed; the command is written for 0.11.2" in warned.found
    assert (well.status, well.found) == (Status.OK, f"OpenRLHF 0.11.2 for Python 3.11.7, {right.parent / 'python'}")


def test_options_that_contradict_the_engine_are_all_named() -> None:
    contradicting = PolicyConfig(model="demo", precision="fp32")
    finding = found("engine_options", policy=contradicting)

    assert finding.status is Status.FAILED
    assert found("engine_command", policy=contradicting).status is Status.SKIPPED
    assert found("engine_options").status is Status.OK
    assert "policy.model is 'demo'" in finding.found
    assert "policy.adaptation is lora" in finding.found


def test_an_option_that_the_engine_s_parser_refuses_fails() -> None:
    OPENRLHF.module("openrlhf")
    refused = found("engine_command", python=sys.executable, extra_arguments=("--no.such.option", "1"))
    accepted = found("engine_command", python=sys.executable)

    assert refused.status is Status.FAILED
    assert "refuses the command" in refused.found
    assert accepted.status is Status.OK


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A checkout of the fork, its own red_team in place."""
    (tmp_path / "openrlhf").mkdir()
    (tmp_path / "red_team").mkdir()
    (tmp_path / "red_team" / "__init__.py").write_text("class GameOutcome: pass\n")
    return tmp_path


def test_a_fork_whose_red_team_is_still_its_own_gets_the_commands_of_the_checklist(fork: Path) -> None:
    finding = found("red_team", kind="red-team-fork", fork=str(fork))

    assert finding.status is Status.FAILED
    assert finding.found == f"{fork / 'red_team'} is still the fork's own"
    assert finding.mend == f"rm -rf {fork / 'red_team'} && cp -r {PACKAGE_FOLDER} {fork / 'red_team'}"


def test_a_copy_that_landed_inside_red_team_fails(fork: Path) -> None:
    shutil.copytree(PACKAGE_FOLDER, fork / "red_team" / PACKAGE_FOLDER.name)
    finding = found("red_team", kind="red-team-fork", fork=str(fork))
    assert "lies inside" in finding.found


def test_a_fork_that_nobody_named_fails() -> None:
    unnamed, elsewhere = found("red_team", kind="red-team-fork"), found("red_team", kind="red-team-fork", fork="gone")
    assert (unnamed.status, unnamed.mend[:13]) == (Status.FAILED, "--engine.fork")
    assert (elsewhere.status, elsewhere.mend) == (Status.FAILED, unnamed.mend)
    assert elsewhere.found == "gone is no checkout of the fork: it holds no folder openrlhf"


def test_a_replaced_red_team_is_well(fork: Path) -> None:
    shutil.rmtree(fork / "red_team")
    shutil.copytree(PACKAGE_FOLDER, fork / "red_team")
    assert found("red_team", kind="red-team-fork", fork=str(fork)).status is Status.OK


def test_a_red_team_that_can_t_be_imported_names_what_is_missing(fork: Path) -> None:
    finding = found("red_team_imports", kind="red-team-fork", fork=str(fork))

    assert finding.status is Status.FAILED
    assert "red_team.prompts can't be imported" in finding.found
    assert finding.mend.startswith(f"rm -rf {fork / 'red_team'} && cp -r ")


class Dashboard(QuietHandler):
    def do_GET(self) -> None:
        if self.path == "/api/version":
            self.answer(200, {"version": "4", "ray_version": "2.55.0", "ray_commit": "0", "session_name": "s"})
        else:
            self.answer(404)


@pytest.fixture
def dashboard() -> Iterator[str]:
    """The address of a cluster's dashboard."""
    with running(local_server(Dashboard)) as url:
        yield url


def test_a_job_needs_a_dashboard_that_answers(dashboard: str) -> None:
    elsewhere = found("ray", submission="ray-job", ray_address=f"{dashboard}/other")
    gone = found("ray", submission="ray-job", ray_address="http://127.0.0.1:1")

    assert "is no Ray dashboard: HTTP 404" in elsewhere.found
    assert (gone.status, gone.mend) == (Status.FAILED, "ray start --head; or set engine.ray_address")


def test_a_direct_launch_brings_its_own_ray() -> None:
    assert found("ray").status is Status.OK


STATUS = "Usage:\n 0.0/64.0 CPU\n 0.0/{gpus} GPU\n 0B/500GiB memory"


@pytest.mark.parametrize(
    ("script", "status", "words"),
    [
        (f"echo '{STATUS.format(gpus='16.0')}'", Status.OK, "with 16 GPUs"),
        (f"echo '{STATUS.format(gpus='8.0')}'", Status.FAILED, "has 8 GPUs; the run wants 16"),
        ("echo 'Usage:\n 0.0/64.0 CPU'", Status.FAILED, "has no GPU; the run wants 16"),
        ("echo 'ConnectionError: no Ray' >&2; exit 1", Status.OK, "can't be told here (exit status 1: ConnectionError"),
        ("/bin/sleep 600", Status.OK, "can't be told here (ray gave no answer within 2 seconds)"),
    ],
)
def test_the_cluster_must_have_the_gpus(
    tmp_path: Path, dashboard: str, script: str, status: Status, words: str
) -> None:
    python = engine_with(tmp_path)
    program(tmp_path, "ray", script)

    finding = found("ray", python=str(python), nodes=2, gpus_per_node=8, submission="ray-job", ray_address=dashboard)

    assert finding.status is status
    assert finding.found.startswith(f"Ray 2.55.0 answers at {dashboard}")
    assert words in finding.found


def test_an_environment_without_ray_can_submit_no_job(tmp_path: Path, dashboard: str) -> None:
    python = engine_with(tmp_path)

    finding = found("ray", python=str(python), submission="ray-job", ray_address=dashboard, path="/nonexistent")

    assert (finding.status, finding.mend) == (Status.FAILED, f"{python} -m pip install 'ray[default]'")
