"""A model that can't fit is refused before anything of it is loaded."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch

from medical_team.cli.main import main
from medical_team.errors import PolicyError
from medical_team.policy import memory
from medical_team.policy.loading import load_language_model
from medical_team.policy.memory import free_bytes, raise_if_too_large, weight_bytes
from medical_team.policy.tiny import make_tiny_model, save_tiny_model
from needs import FILE_WITH_A_HOLE

CPU = torch.device("cpu")


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
    with pytest.raises(PolicyError, match=r"weights take 1,024.0 GiB as float32, and .* GiB are free in this machine"):
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
    monkeypatch.setattr(memory, "free_bytes", lambda device: free[device.type])
    with pytest.raises(PolicyError, match=r"free on cuda:0\..*policy.device cpu"):
        raise_if_too_large(folder, "it", dtype=torch.float32, device=torch.device("cuda", 0))

    free.update(cuda=10**12, cpu=10)
    with pytest.raises(PolicyError, match="free in this machine's memory"):
        raise_if_too_large(folder, "it", dtype=torch.float32, device=torch.device("cuda", 0))


def test_the_limit_of_a_container_counts_and_what_files_take_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(memory, "_MEMORY_INFORMATION", tmp_path / "meminfo")
    assert free_bytes(CPU) is None
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    assert free_bytes(CPU) == 8000 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 400\nfile 600\nshmem 100\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(CPU) == 8000 * 1024
    (tmp_path / "memory.max").write_text("1500\n")
    assert free_bytes(CPU) == 1000
