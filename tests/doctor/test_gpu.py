"""GPUs that are not here, as a real import of torch tells of them: that torch is a stand-in."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from doctor_cases import a_subject, fake_torch, look, program
from medical_team.config import PolicyConfig, RunConfig
from medical_team.doctor import gpu as gpu_checks
from medical_team.doctor.findings import Finding, Status
from medical_team.doctor.subject import Gpu, Limits, Subject, TorchFound
from medical_team.engine_config import EngineConfig
from medical_team.planning.plan import GIB, MemoryPart, MemoryPlan, Phase
from stand_ins import always

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
    monkeypatch.setattr(gpu_checks, "has_nvidia_driver", always(False))


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
    monkeypatch.setattr(gpu_checks, "has_nvidia_driver", always(True))

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
