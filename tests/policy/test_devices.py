from __future__ import annotations

import importlib
import json
import platform
import struct
from pathlib import Path

import pytest
import torch

from medical_team.cli.main import main
from medical_team.errors import PolicyError
from medical_team.policy import devices
from medical_team.policy.devices import (
    choose_device,
    choose_dtype,
    cpu_only_torch_warning,
    gpu_memory_share,
    hardware,
    peak_memory_bytes,
    raise_if_too_large,
    weight_bytes,
)
from medical_team.policy.loading import load_language_model
from needs import FILE_WITH_A_HOLE
from stand_ins import always
from tiny_models import make_tiny_model, save_tiny_model

CPU = torch.device("cpu")


def pretend_cpu_has_bf16(monkeypatch: pytest.MonkeyPatch, *, has_bf16: bool) -> None:
    capabilities = {"avx512_bf16": has_bf16, "architecture": "x86_64"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, *, has_driver: bool, cuda_build: str | None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda_build)
    monkeypatch.setattr(devices, "has_nvidia_driver", lambda: has_driver)


def test_auto_takes_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    assert choose_device("cpu") == CPU


def test_cuda_without_cuda_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpu(monkeypatch, has_driver=False, cuda_build=None)
    with pytest.raises(PolicyError, match=r"policy.device is cuda, but .* no GPU .* cpu or auto"):
        choose_device("cuda")


def test_an_idle_gpu_is_pointed_out_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpu(monkeypatch, has_driver=True, cuda_build=None)
    warning = cpu_only_torch_warning()
    assert warning is not None
    assert "download.pytorch.org/whl" in warning
    assert "make" in warning
    with pytest.raises(PolicyError, match=r"download\.pytorch\.org/whl"):
        choose_device("cuda")


@pytest.mark.parametrize(("has_driver", "cuda_build"), [(False, None), (True, "13.0"), (False, "13.0")])
def test_no_warning_where_nothing_is_to_be_mended(
    monkeypatch: pytest.MonkeyPatch, has_driver: bool, cuda_build: str | None
) -> None:
    pretend_gpu(monkeypatch, has_driver=has_driver, cuda_build=cuda_build)
    assert cpu_only_torch_warning() is None


@pytest.mark.parametrize("has_bf16", [False, True])
def test_on_a_cpu_auto_is_fp32(monkeypatch: pytest.MonkeyPatch, has_bf16: bool) -> None:
    pretend_cpu_has_bf16(monkeypatch, has_bf16=has_bf16)
    assert choose_dtype("auto", CPU) is torch.float32
    assert choose_dtype("fp32", CPU) is torch.float32


def test_bf16_needs_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cpu_has_bf16(monkeypatch, has_bf16=True)
    assert choose_dtype("bf16", CPU) is torch.bfloat16
    pretend_cpu_has_bf16(monkeypatch, has_bf16=False)
    with pytest.raises(PolicyError, match=r"no hardware for bf16 on this CPU .* auto or fp32"):
        choose_dtype("bf16", CPU)


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_on_a_gpu_auto_is_bf16_where_the_gpu_has_it(
    monkeypatch: pytest.MonkeyPatch, has_bf16: bool, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", always(has_bf16))
    assert choose_dtype("auto", torch.device("cuda")) is expected


def test_peak_memory_is_in_bytes() -> None:
    importlib.import_module("torch")  # a process with torch holds well over 50 MB, and less than a terabyte
    assert 50e6 < peak_memory_bytes(CPU) < 1e12


def test_the_share_of_a_gpu_counts_what_others_take_and_not_what_torch_keeps_for_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 80 GiB, of which 30 are free: torch took 30, needed 20 at the peak, and others have 20.
    monkeypatch.setattr(torch.cuda, "mem_get_info", always((30 * 2**30, 80 * 2**30)))
    monkeypatch.setattr(torch.cuda, "memory_reserved", always(30 * 2**30))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", always(20 * 2**30))

    assert gpu_memory_share(torch.device("cuda")) == 0.5
    assert gpu_memory_share(CPU) is None


def test_the_hardware_is_told_without_naming_the_machine_or_its_user() -> None:
    found = hardware(CPU)

    assert found["device"] == "cpu"
    assert int(found["processors"]) >= 1
    assert platform.node() not in found.values()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tiny_model(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def huge_folder(folder: Path) -> Path:
    """A model of a terabyte, of which the disk holds nothing: a file with a hole."""
    count = 2**38
    header = json.dumps({"weight": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        try:
            file.truncate(8 + len(header) + 4 * count)
        except OSError as error:
            FILE_WITH_A_HOLE.skip(str(error))
    return folder


def test_weights_are_counted_without_loading_them(folder: Path) -> None:
    stored = sum(parameter.numel() for parameter in make_tiny_model()[0].parameters())

    assert weight_bytes(folder, torch.float32) == 4 * stored
    assert weight_bytes(folder, torch.bfloat16) == 2 * stored


def test_files_beside_the_weights_do_not_count(folder: Path) -> None:
    (folder / "consolidated.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    stored = sum(parameter.numel() for parameter in make_tiny_model()[0].parameters())

    assert weight_bytes(folder, torch.float32) == 4 * stored


def test_a_model_that_cannot_fit_is_refused(huge_folder: Path) -> None:
    with pytest.raises(PolicyError, match=r"weights take 1,024.0 GiB as float32, and .* GiB are free on cpu"):
        load_language_model(str(huge_folder), device=CPU, dtype=torch.float32)


def test_the_service_says_so_in_one_message_with_the_judges_options(
    huge_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", "serve", "--model", str(huge_folder), "--device", "cpu", "--port", "0"]) == 2

    told = capsys.readouterr().err
    assert "1,024.0 GiB" in told
    assert "judge.precision" in told
    assert "Traceback" not in told


def test_on_a_gpu_its_own_memory_counts_and_this_machines_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = {"cuda": 10, "cpu": 10**12}

    def free_on(device: torch.device) -> int:
        return free[device.type]

    monkeypatch.setattr(devices, "free_bytes", free_on)
    with pytest.raises(PolicyError, match=r"free on cuda:0\..*policy.device"):
        raise_if_too_large(folder, "it", dtype=torch.float32, device=torch.device("cuda", 0))

    free.update(cuda=10**12, cpu=10)
    with pytest.raises(PolicyError, match="free on cpu"):
        raise_if_too_large(folder, "it", dtype=torch.float32, device=torch.device("cuda", 0))
