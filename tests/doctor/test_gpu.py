"""GPUs that are not here, as real programs and a real import tell of them: `nvidia-smi` and `torch` are stand-ins."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from doctor_cases import H100, a_subject, fake_torch, look, nvidia_smi, program
from medical_team.config import PolicyConfig, RunConfig
from medical_team.doctor.findings import Finding, Status
from medical_team.doctor.subject import Limits, Subject
from medical_team.engine_config import EngineConfig
from medical_team.planning.plan import GIB, MemoryPart, MemoryPlan, Phase, Plan

NO_PROGRAMS = "/nonexistent"
CUDA = PolicyConfig(device="cuda")
CPU = PolicyConfig(device="cpu")
BF16 = PolicyConfig(precision="bf16")
OPENRLHF = EngineConfig(kind="openrlhf", gpus_per_node=2, python=sys.executable)


def found(
    name: str, folder: Path | str, config: RunConfig | None = None, *, limits: Limits | None = None, **environment: Any
) -> Finding:
    return look(name, a_subject(config, limits=limits, PATH=folder, **environment))


def test_no_gpu_is_well_where_none_is_wanted_and_fails_where_one_is() -> None:
    auto = found("gpu", NO_PROGRAMS)
    cuda = found("gpu", NO_PROGRAMS, RunConfig(policy=CUDA))
    engine = found("gpu", NO_PROGRAMS, RunConfig(engine=OPENRLHF))
    cluster = found("gpu", NO_PROGRAMS, RunConfig(engine=dataclasses.replace(OPENRLHF, submission="ray-job")))

    assert (auto.status, auto.found) == (Status.OK, "none; the run computes on the CPU")
    assert (cuda.status, cuda.mend[:24]) == (Status.FAILED, "--policy.device auto, or")
    assert engine.status is Status.FAILED
    assert cluster.status is Status.SKIPPED


def test_a_gpu_is_told_with_its_driver(tmp_path: Path) -> None:
    nvidia_smi(tmp_path)
    finding = found("gpu", tmp_path)
    assert finding.found == "1 x NVIDIA H100 80GB HBM3, 80 GiB, driver 580.95.05"


def test_commas_in_names_are_no_separators(tmp_path: Path) -> None:
    nvidia_smi(tmp_path, "0, NVIDIA, of Vendor, Inc., 81559, 4000, 580.95.05", "12, /opt/a, b/train, 3072")

    assert found("gpu", tmp_path).found == "1 x NVIDIA, of Vendor, Inc., 80 GiB, driver 580.95.05"
    assert found("gpu_in_use", tmp_path).found.endswith("by train (process 12, 3.0 GiB)")


@pytest.mark.parametrize("status", [0, 6])
def test_a_driver_without_a_gpu_is_a_machine_without_one(tmp_path: Path, status: int) -> None:
    program(tmp_path, "nvidia-smi", f"echo No devices were found; exit {status}")

    assert found("gpu", tmp_path).found == "none; the run computes on the CPU"
    assert found("gpu", tmp_path, RunConfig(policy=CUDA)).status is Status.FAILED


def test_fewer_gpus_than_the_engine_wants_fail(tmp_path: Path) -> None:
    nvidia_smi(tmp_path)
    finding = found("gpu", tmp_path, RunConfig(engine=OPENRLHF))
    assert (finding.status, finding.mend) == (Status.FAILED, "--engine.gpus_per_node 1")


@pytest.mark.parametrize(
    ("visible", "seen"), [("", 0), ("-1", 0), ("0", 1), ("1", 1), ("0,1", 2), ("GPU-8b1c", 2), (None, 2)]
)
def test_what_cuda_visible_devices_hides_is_told(tmp_path: Path, visible: str | None, seen: int) -> None:
    nvidia_smi(tmp_path, f"{H100}\n1{H100[1:]}")
    variables: dict[str, Any] = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}

    finding = found("gpu", tmp_path, RunConfig(policy=CUDA), **variables)

    if seen:
        assert finding.found.startswith(f"{seen} x NVIDIA")
    else:
        assert (finding.status, finding.mend) == (Status.FAILED, "unset CUDA_VISIBLE_DEVICES")


def test_a_driver_that_does_not_answer_fails(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not reach the driver.'; exit 9")
    finding = found("gpu", tmp_path)
    assert finding.status is Status.FAILED
    assert finding.found == "nvidia-smi: exit status 9: NVIDIA-SMI has failed because it could not reach the driver."


def test_a_driver_that_hangs_fails_in_time_and_leaves_no_process(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", f"echo $$ > {tmp_path}/pid\n/bin/sleep 600")

    finding = found("gpu", tmp_path, limits=Limits(nvidia=0.3))

    assert finding.found == "nvidia-smi gave no answer within 0.3 seconds"
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


def test_an_answer_of_another_program_fails(tmp_path: Path) -> None:
    nvidia_smi(tmp_path, "welcome")
    assert "answers something else" in found("gpu", tmp_path).found


def torch_found(tmp_path: Path, name: str = "torch", config: RunConfig | None = None, *, gpu: str = H100, **torch: Any):
    nvidia_smi(tmp_path / "bin", gpu)
    fake_torch(tmp_path / "site", **torch)
    return found(name, tmp_path / "bin", config, PYTHONPATH=tmp_path / "site")


def test_a_torch_that_computes_on_the_gpu_is_well(tmp_path: Path) -> None:
    finding = torch_found(tmp_path)
    assert finding.found == "torch 2.13.0+cu130 for CUDA 13.0 computes on 1 GPU(s): NVIDIA H100 80GB HBM3"


def test_a_torch_without_cuda_beside_a_gpu_is_a_warning_and_a_failure_where_the_gpu_is_wanted(tmp_path: Path) -> None:
    options: dict[str, Any] = {"version": "2.13.0+cpu", "cuda": None, "gpus": 0}

    auto = torch_found(tmp_path, **options)
    cuda = torch_found(tmp_path, config=RunConfig(policy=CUDA), **options)
    cpu = torch_found(tmp_path, config=RunConfig(policy=CPU), **options)

    assert (auto.status, cuda.status, cpu.status) == (Status.WARNING, Status.FAILED, Status.OK)
    assert auto.found == "torch 2.13.0+cpu without CUDA leaves the NVIDIA H100 80GB HBM3 idle"
    assert "--index-url https://download.pytorch.org/whl/cu130" in auto.mend


def test_a_gpu_that_computes_wrong_numbers_fails(tmp_path: Path) -> None:
    finding = torch_found(tmp_path, sums_to=7)
    assert finding.status is Status.FAILED
    assert "fails at a small computation: GPU 0 computes wrong numbers" in finding.found


def test_a_torch_that_can_t_be_imported_fails_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    finding = found("torch", NO_PROGRAMS, PYTHONPATH=tmp_path)
    assert finding.status is Status.FAILED
    assert "libcudart.so.13" in finding.found
    assert finding.mend == "pip install 'medical-team[train]'"


@pytest.mark.parametrize(
    ("driver", "cuda", "status"),
    [("580.95.05", "13.0", Status.OK), ("550.54.14", "12.8", Status.OK), ("550.54.14", "13.0", Status.FAILED)],
)
def test_a_driver_must_be_new_enough_for_torch(tmp_path: Path, driver: str, cuda: str, status: Status) -> None:
    gpu = H100.replace("580.95.05", driver)
    finding = torch_found(tmp_path, "driver", gpu=gpu, cuda=cuda, gpus=1 if status is Status.OK else 0)

    assert finding.status is status
    if status is Status.FAILED:
        assert finding.found == "driver 550.54.14, torch for CUDA 13.0, which needs 580.65"
        assert finding.mend.startswith("install driver 580.65 or newer")


def test_bf16_wants_hardware_for_it(tmp_path: Path) -> None:
    assert torch_found(tmp_path, "precision", RunConfig(policy=BF16)).status is Status.OK
    cpu = torch_found(tmp_path, "precision", RunConfig(policy=BF16), version="2.13.0+cpu", cuda=None, gpus=0)
    assert (cpu.status, cpu.mend) == (Status.FAILED, "--policy.precision auto")


def test_memory_that_others_have_is_told_with_who_has_it(tmp_path: Path) -> None:
    nvidia_smi(tmp_path, "0, NVIDIA H100 80GB HBM3, 81559, 40960, 580.95.05", "4711, /usr/bin/python3.11, 40000")

    finding = found("gpu_in_use", tmp_path)

    assert finding.status is Status.WARNING
    assert finding.found == "40.0 GiB of a GPU are in use already by python3.11 (process 4711, 39.1 GiB)"
    assert finding.mend.startswith("nvidia-smi")


def planned(
    peak_gib: float, subject: Subject, advice: tuple[str, ...] = (), *, capacity_gib: int | None = None
) -> Finding:
    """The finding on memory where the plan has one part of ``peak_gib``."""
    part = MemoryPart("policy", round(peak_gib * GIB), (Phase.TRAINING,), "")
    memory = MemoryPlan("the GPU", capacity_gib * GIB if capacity_gib else None, (part,), 0)
    plan = subject.plan()
    subject.plan = lambda: dataclasses.replace(plan, memory=memory, problems=(), advice=advice)  # type: ignore[assignment]
    return look("gpu_memory", subject)


@pytest.mark.parametrize(
    ("peak", "status", "words"),
    [
        (10, Status.OK, "10.0 of 79.6 GiB (13%)"),
        (66, Status.WARNING, "(83%); it should stay under 80%"),
        (85, Status.FAILED, "(107%): CUDA will be out of memory"),
    ],
)
def test_the_plan_must_fit_the_gpu_that_is_there(tmp_path: Path, peak: int, status: Status, words: str) -> None:
    nvidia_smi(tmp_path)
    finding = planned(peak, a_subject(PATH=tmp_path))

    assert finding.status is status
    assert words in finding.found
    assert (finding.mend == "") is (status is Status.OK)


def test_out_of_memory_is_answered_by_the_plan_s_advice_or_the_checklist_s() -> None:
    config = RunConfig(engine=EngineConfig(kind="openrlhf"))
    without = planned(85, a_subject(config, PATH=NO_PROGRAMS), capacity_gib=80)
    advised = planned(85, a_subject(config, PATH=NO_PROGRAMS), ("1st", "2nd", "3rd", "4th"), capacity_gib=80)

    assert without.status is advised.status is Status.FAILED
    assert without.found == (
        "the plan's peak is 85.0 of 80.0 GiB (106%, as engine.gpu_memory_gib says): CUDA will be out of memory"
    )
    assert without.mend == (
        "lower engine.micro_rollout_batch_size (2) and engine.vllm_memory_fraction (0.5), or take a smaller "
        "policy.model"
    )
    assert advised.mend == "1st\n2nd\n3rd"


def test_a_real_plan_is_compared_with_what_the_engine_says_the_gpus_have() -> None:
    engine = EngineConfig(kind="openrlhf", submission="ray-job")
    config = RunConfig(policy=PolicyConfig(model="Qwen/Qwen2.5-3B-Instruct", adaptation="full"), engine=engine)
    small = dataclasses.replace(config, engine=dataclasses.replace(engine, gpu_memory_gib=24.0))

    finding = look("gpu_memory", a_subject(small, PATH=NO_PROGRAMS))

    assert isinstance(a_subject(config).plan(), Plan)
    assert finding.status is Status.FAILED
    assert finding.mend
