from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from doctor_cases import a_subject, look
from medical_team.config import PolicyConfig, RunConfig
from medical_team.doctor import space
from medical_team.doctor.findings import Status
from medical_team.doctor.space import disk_seen
from medical_team.planning.plan import DiskPart, DiskPlan, Unknown
from needs import MOUNTING, ORDINARY_USER

TINY = RunConfig(policy=PolicyConfig(model="demo"))
GB = 10**9


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
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


def test_a_full_disk_fails(small_disk):
    (small_disk / "filling").write_bytes(bytes(900_000))

    finding = look("disk", a_subject(TINY, run=small_disk / "run"))

    assert finding.status is Status.FAILED
    assert f"0.0 GB are free at {small_disk}" in finding.found
    assert "--run FOLDER" in finding.mend


def test_a_full_disk_below_the_model_cache_is_a_warning(small_disk):
    finding = look("disk_cache", a_subject(HF_HOME=small_disk / "hub"))

    assert finding.status is Status.WARNING
    assert "HF_HOME" in finding.mend


@pytest.mark.parametrize(("free", "status"), [(9 * GB, Status.FAILED), (11 * GB, Status.WARNING), (13 * GB, Status.OK)])
def test_room_is_wanted_for_what_is_needed_and_a_reserve(tmp_path, monkeypatch, free, status):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100 * GB, 0, free))
    assert disk_seen(tmp_path, 10 * GB, "").status is status


def test_where_nothing_can_be_planned_ten_gigabytes_are_wanted(tmp_path, monkeypatch):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100 * GB, 0, 9 * GB))
    subject = a_subject(TINY, run=tmp_path / "run")
    plan = subject.plan()
    subject.plan = lambda: dataclasses.replace(plan, disk=Unknown("nobody knows"))
    unplanned = look("disk", subject)
    subject.plan = lambda: dataclasses.replace(plan, disk=DiskPlan((DiskPart("all", 3 * GB, ""),)))
    planned = look("disk", subject)

    assert (unplanned.status, planned.status) == (Status.FAILED, Status.OK)
    assert "10 GB are advised" in unplanned.found
    assert "the plan writes 3.0 GB" in planned.found


def test_a_run_folder_that_is_there_is_no_new_one(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()

    finding = look("run_folder", a_subject(run=tmp_path / "run"))

    assert finding.status is Status.FAILED
    assert "--resume" in finding.mend


def test_a_file_in_the_way_fails(tmp_path):
    (tmp_path / "runs").touch()
    finding = look("run_folder", a_subject(run=tmp_path / "runs" / "one"))
    assert finding.status is Status.FAILED
    assert "is a file, where a folder should be" in finding.found


@pytest.mark.skipif(os.geteuid() == 0, reason=ORDINARY_USER.reason("root may write everywhere"))
def test_a_folder_of_others_fails(tmp_path):
    tmp_path.chmod(0o500)
    finding = look("run_folder", a_subject(run=tmp_path / "run"))
    tmp_path.chmod(0o700)
    assert (finding.status, "--run FOLDER" in finding.mend) == (Status.FAILED, True)


def test_a_read_only_disk_fails(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    run, caches = (
        look(name, a_subject(run=small_disk / "run", HF_HOME=small_disk)) for name in ("run_folder", "caches")
    )

    assert run.status is Status.FAILED
    assert caches.status is Status.WARNING


def test_nothing_is_made_by_looking(tmp_path):
    subject = a_subject(TINY, run=tmp_path / "a" / "run", HF_HOME=tmp_path / "hub", XDG_CACHE_HOME=tmp_path / "cache")
    for name in ("disk", "disk_cache", "run_folder", "caches", "memory"):
        look(name, subject)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "status"), [(10, Status.FAILED), (10**9, Status.OK)])
def test_the_machine_s_memory_is_compared_with_the_plan(tmp_path, monkeypatch, free, status):
    (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {free} kB\n")
    monkeypatch.setattr(space, "_MEMORY_FILE", tmp_path / "meminfo")

    assert look("memory", a_subject(TINY, PATH="/nonexistent")).status is status
