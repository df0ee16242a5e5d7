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

from doctor_cases import a_subject, fake_torch, look, program
from medical_team.config import EngineConfig, JudgeConfig, JudgeKind, PolicyConfig, RunConfig
from medical_team.doctor import machine
from medical_team.doctor.findings import Finding, Status
from medical_team.doctor.machine import REQUIREMENTS, disk_seen
from medical_team.doctor.subject import Gpu, Limits, Subject, TorchFound
from medical_team.planning.plan import GIB, DiskPart, DiskPlan, MemoryPart, MemoryPlan, Phase, Unknown
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


CUDA = PolicyConfig(device="cuda")
CPU = PolicyConfig(device="cpu")
OPENRLHF = EngineConfig(kind="openrlhf", gpus_per_node=2, python=sys.executable)
H100 = Gpu("NVIDIA H100 80GB HBM3", 81559 * 2**20, 2**29)


def found(name: str, config: RunConfig | None = None, *, gpus: int = 0, cuda: str | None = "13.0") -> Finding:
    """What a check finds where torch sees ``gpus``."""
    subject = a_subject(config)
    subject.torch = TorchFound("2.13.0", cuda, (H100,) * gpus, "")
    return look(name, subject)


@pytest.fixture(autouse=True)
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_nvidia_driver", always(False))


def test_no_gpu_is_well_where_none_is_wanted_and_fails_where_one_is() -> None:
    auto, cuda = found("gpu"), found("gpu", RunConfig(policy=CUDA))
    engine = found("gpu", RunConfig(engine=OPENRLHF))

    assert (auto.status, auto.found) == (Status.OK, "none; the run computes on the CPU")
    assert (cuda.status, cuda.mend[:24]) == (Status.FAILED, "--policy.device auto, or")
    assert engine.status is Status.FAILED


def test_the_gpus_of_a_cluster_are_not_looked_at_here() -> None:
    cluster = RunConfig(engine=dataclasses.replace(OPENRLHF, submission="ray-job"))
    assert look("torch", a_subject(cluster)).status is Status.SKIPPED


def test_fewer_gpus_than_the_engine_wants_fail() -> None:
    finding = found("gpu", RunConfig(engine=OPENRLHF), gpus=1)
    assert (finding.status, finding.mend) == (Status.FAILED, "--engine.gpus_per_node 1")
    assert found("gpu", RunConfig(engine=OPENRLHF), gpus=2).found == "2 x NVIDIA H100 80GB HBM3, 80 GiB"


def test_a_driver_without_a_gpu_for_torch_is_a_warning_and_a_failure_where_the_gpu_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "has_nvidia_driver", always(True))

    auto, cuda, cpu = (found("gpu", RunConfig(policy=policy), cuda=None) for policy in (PolicyConfig(), CUDA, CPU))

    assert (auto.status, cuda.status, cpu.status) == (Status.WARNING, Status.FAILED, Status.OK)
    assert auto.found == "torch 2.13.0 without CUDA finds no GPU, and this machine has an NVIDIA driver"
    assert "--index-url https://download.pytorch.org/whl/cu130" in auto.mend
    assert "a driver for CUDA 13.0 or newer" in found("gpu").mend


def imported(site: Path, *, seconds: float = 60.0) -> Finding:
    """What the check of torch finds with the modules in ``site``."""
    return look("torch", a_subject(limits=Limits(torch=seconds), PYTHONPATH=site))


def test_a_torch_that_computes_on_the_gpu_is_well(tmp_path: Path) -> None:
    subject = a_subject(PYTHONPATH=fake_torch(tmp_path))

    assert look("torch", subject).found == "torch 2.13.0+cu130 for CUDA 13.0 computes on 1 GPU(s)"
    assert look("gpu", subject).found == "1 x NVIDIA H100 80GB HBM3, 80 GiB"
    assert look("gpu_in_use", subject).found == "at most 0.5 GiB of a GPU are in use, this look included"


def test_a_gpu_that_computes_wrong_numbers_fails(tmp_path: Path) -> None:
    finding = imported(fake_torch(tmp_path, sums_to=7))
    assert finding.status is Status.FAILED
    assert "fails at a small computation: GPU 0 computes wrong numbers" in finding.found


def test_a_torch_that_can_t_be_imported_fails_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    finding = imported(tmp_path)
    assert finding.status is Status.FAILED
    assert "libcudart.so.13" in finding.found
    assert finding.mend == "pip install 'medical-team[train]'"


def test_a_driver_that_hangs_fails_in_time_and_leaves_no_process(tmp_path: Path) -> None:
    python = program(tmp_path, "python", f"echo $$ > {tmp_path}/pid\nsleep 600")
    engine = dataclasses.replace(OPENRLHF, python=str(python))

    finding = look("torch", a_subject(RunConfig(engine=engine), limits=Limits(torch=0.3)))

    assert "python gave no answer within 0.3 seconds" in finding.found
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_memory_that_others_have_is_told() -> None:
    subject = a_subject()
    subject.torch = TorchFound("2.13.0", "13.0", (dataclasses.replace(H100, used_bytes=40 * GIB),), "")

    finding = look("gpu_in_use", subject)

    assert (finding.status, finding.found) == (Status.WARNING, "40.0 GiB of a GPU are in use already")
    assert finding.mend.startswith("nvidia-smi")


def planned(peak_gib: float, subject: Subject, *, capacity_gib: int | None = None) -> Finding:
    """The finding on memory where the plan has one part of ``peak_gib``."""
    part = MemoryPart("policy", round(peak_gib * GIB), (Phase.TRAINING,), "")
    memory = MemoryPlan("the GPU", capacity_gib * GIB if capacity_gib else None, (part,), 0)
    subject.plan = dataclasses.replace(subject.plan, memory=memory, problems=())
    return look("gpu_memory", subject)


@pytest.mark.parametrize(
    ("peak", "status", "words"),
    [
        (10, Status.OK, "10.0 of 79.6 GiB (13%)"),
        (66, Status.WARNING, "(83%); it should stay under 80%"),
        (85, Status.FAILED, "(107%): CUDA will be out of memory"),
    ],
)
def test_the_plan_must_fit_the_gpu_that_is_there(peak: int, status: Status, words: str) -> None:
    subject = a_subject()
    subject.torch = TorchFound("2.13.0", "13.0", (H100,), "")
    finding = planned(peak, subject)

    assert finding.status is status
    assert words in finding.found
    assert (finding.mend == "") is (status is Status.OK)


def test_out_of_memory_is_answered_as_the_checklist_does() -> None:
    engine = EngineConfig(kind="openrlhf", submission="ray-job")
    finding = planned(85, a_subject(RunConfig(engine=engine)), capacity_gib=80)

    assert finding.status is Status.FAILED
    assert finding.found == (
        "the plan's peak is 85.0 of 80.0 GiB (106%, as engine.gpu_memory_gib says): CUDA will be out of memory"
    )
    assert finding.mend == (
        "lower engine.micro_rollout_batch_size (2) and engine.vllm_memory_fraction (0.5), or take a smaller "
        "policy.model"
    )


def test_a_real_plan_is_compared_with_what_the_engine_says_the_gpus_have() -> None:
    engine = EngineConfig(kind="openrlhf", submission="ray-job", gpu_memory_gib=24.0)
    config = RunConfig(policy=PolicyConfig(model="Qwen/Qwen2.5-3B-Instruct", adaptation="full"), engine=engine)

    finding = look("gpu_memory", a_subject(config))

    assert finding.status is Status.FAILED
    assert finding.mend
