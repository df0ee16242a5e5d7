from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import tomllib

from doctor_cases import a_subject, look
from medical_team.config import JudgeConfig, JudgeKind, PolicyConfig, RunConfig
from medical_team.doctor import machine
from medical_team.doctor.findings import Status
from medical_team.doctor.machine import REQUIREMENTS, disk_seen
from medical_team.doctor.subject import TorchFound
from medical_team.planning.plan import DiskPart, DiskPlan, Unknown
from needs import MOUNTING, ORDINARY_USER
from stand_ins import always


def test_the_wanted_versions_are_those_of_the_package(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {"": project["dependencies"], **project["optional-dependencies"]}

    for extra, versions in REQUIREMENTS.items():
        oldest = {name: least for line in declared[extra] for name, least in re.findall(r"^([\w-]+)>=([\d.]+)", line)}
        assert dict(versions) == oldest


def test_this_python_and_its_libraries_are_well() -> None:
    finding = look("libraries", a_subject())
    assert finding.status is Status.OK
    assert finding.found.startswith(f"Python {'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}; httpx ")


@pytest.mark.parametrize(
    ("name", "judge", "mend"),
    [
        ("training_libraries", "reference", "pip install 'medical-team[train]'"),
        ("judge_libraries", "remote", "pip install 'medical-team[judge]', where the judge is served"),
    ],
)
def test_a_missing_and_an_old_library_are_named_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, name: str, judge: JudgeKind, mend: str
) -> None:
    extra = {"no-such-library": "1.0", "pydantic": "99.0"}
    monkeypatch.setattr(machine, "REQUIREMENTS", {**REQUIREMENTS, "train": extra, "judge": extra})

    finding = look(name, a_subject(RunConfig(judge=JudgeConfig(kind=judge, url="http://127.0.0.1:1"))))

    assert finding.status is (Status.FAILED if name == "training_libraries" else Status.WARNING)
    assert re.search(r"missing: no-such-library; too old: pydantic 2[\d.]+ \(needs 99\.0\)", finding.found)
    assert finding.mend == mend


TINY = RunConfig(policy=PolicyConfig(model="demo"))
GB = 10**9


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one MiB; needs the right to mount."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    ) if shutil.which("mount") else None  # fmt: skip
    if mounted is None or mounted.returncode != 0:
        MOUNTING.skip(mounted.stderr.strip() if mounted else "there is no mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_fails(small_disk: Path) -> None:
    (small_disk / "filling").write_bytes(bytes(900_000))

    finding = look("disk", a_subject(TINY, run=small_disk / "run"))

    assert finding.status is Status.FAILED
    assert f"0.0 GB are free at {small_disk}" in finding.found
    assert "--run FOLDER" in finding.mend


def test_a_full_disk_below_the_model_cache_is_a_warning(small_disk: Path) -> None:
    finding = look("disk_cache", a_subject(HF_HOME=small_disk / "hub"))

    assert finding.status is Status.WARNING
    assert "HF_HOME" in finding.mend


@pytest.mark.parametrize(("free", "status"), [(9 * GB, Status.FAILED), (11 * GB, Status.WARNING), (13 * GB, Status.OK)])
def test_room_is_wanted_for_what_is_needed_and_a_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, status: Status
) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", always(SimpleNamespace(free=free)))
    assert disk_seen(tmp_path, 10 * GB, "").status is status


def test_where_nothing_can_be_planned_ten_gigabytes_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.shutil, "disk_usage", always(SimpleNamespace(free=9 * GB)))
    subject = a_subject(TINY, run=tmp_path / "run")
    plan = subject.plan
    subject.plan = dataclasses.replace(plan, disk=Unknown("nobody knows"))
    unplanned = look("disk", subject)
    subject.plan = dataclasses.replace(plan, disk=DiskPlan((DiskPart("all", 3 * GB, ""),)))
    planned = look("disk", subject)

    assert (unplanned.status, planned.status) == (Status.FAILED, Status.OK)
    assert "10 GB are advised" in unplanned.found
    assert "the plan writes 3.0 GB" in planned.found


def test_a_run_folder_that_is_there_is_no_new_one(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()

    finding = look("run_folder", a_subject(run=tmp_path / "run"))

    assert finding.status is Status.FAILED
    assert "--resume" in finding.mend


def test_a_file_in_the_way_fails(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    finding = look("run_folder", a_subject(run=tmp_path / "runs" / "one"))
    assert finding.status is Status.FAILED
    assert "is a file, where a folder should be" in finding.found


@pytest.mark.skipif(os.geteuid() == 0, reason=ORDINARY_USER.reason("root may write everywhere"))
def test_a_folder_of_others_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    finding = look("run_folder", a_subject(run=tmp_path / "run"))
    tmp_path.chmod(0o700)
    assert (finding.status, "--run FOLDER" in finding.mend) == (Status.FAILED, True)


def test_a_read_only_disk_fails(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    assert look("run_folder", a_subject(run=small_disk / "run")).status is Status.FAILED


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    subject = a_subject(TINY, run=tmp_path / "a" / "run", HF_HOME=tmp_path / "hub", XDG_CACHE_HOME=tmp_path / "cache")
    for name in ("disk", "disk_cache", "run_folder", "memory"):
        look(name, subject)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "status"), [(10_000, Status.FAILED), (10**12, Status.OK)])
def test_the_machine_s_memory_is_compared_with_the_plan(
    monkeypatch: pytest.MonkeyPatch, free: int, status: Status
) -> None:
    monkeypatch.setattr(machine, "free_memory_bytes", always(free))
    subject = a_subject(TINY)
    subject.torch = TorchFound("2.13.0", None, (), "")

    assert look("memory", subject).status is status
