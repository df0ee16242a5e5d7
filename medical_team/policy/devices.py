"""Which device and precision the policy computes with, how much memory a model's weights take, and how much is
free: asked before anything is loaded."""

from __future__ import annotations

import math
import os
import platform
import resource
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open

from ..config import Device, Precision
from ..errors import PolicyError
from ..model_files import weight_files
from ..this_machine import BF16_CPU_CAPABILITIES, free_memory_bytes, has_nvidia_driver

_MAC_OS = "darwin"
_CUDA_INDEX = "https://download.pytorch.org/whl/cu130"


def choose_device(name: Device) -> torch.device:
    """The device that ``policy.device`` names; ``auto`` takes CUDA where there is a GPU.

    Raises:
        PolicyError: CUDA is asked for and is not there.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        remedy = cpu_only_torch_warning()
        reason = f"{remedy} Or set" if remedy else f"torch {torch.__version__} finds no GPU on this machine. Set"
        raise PolicyError(f"policy.device is cuda, but {reason} policy.device to cpu or auto.")
    return torch.device("cuda", torch.cuda.current_device())


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The type that ``policy.precision`` names; ``auto`` takes bf16 on a GPU that has it, else fp32.

    On a CPU ``auto`` always is fp32: there the numbers repeat, and bf16 without hardware for it is slower by orders
    of magnitude. A new run's policy may take bf16 there all the same (:func:`.probe.choose_precision`).

    Raises:
        PolicyError: bf16 is asked for and the device has no hardware for it.
    """
    if precision == "fp32" or (precision == "auto" and device.type == "cpu"):
        return torch.float32
    if has_bf16(device):
        return torch.bfloat16
    if precision == "auto":
        return torch.float32
    raise PolicyError(
        f"policy.precision is bf16, but torch finds no hardware for bf16 on this {device.type.upper()} device. "
        "Set policy.precision to auto or fp32."
    )


def has_bf16(device: torch.device) -> bool:
    """Whether the device has hardware for bf16; that it is faster is another matter on a CPU."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(_cpu_has(name) for name in BF16_CPU_CAPABILITIES)


def has_matrix_units() -> bool:
    """Whether the CPU has units for whole matrices in bf16, with which it is faster; others may be slower in it."""
    return _cpu_has("amx_bf16")


def _cpu_has(capability: str) -> bool:
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get(capability))


def cpu_only_torch_warning() -> str | None:
    """A sentence that names the remedy where an NVIDIA GPU lies idle under a torch without CUDA; else None."""
    if torch.version.cuda is not None or not has_nvidia_driver():
        return None
    return (
        f"this machine has an NVIDIA GPU, but the installed torch {torch.__version__} is built without CUDA. Install a "
        f"build with CUDA from PyTorch's own index: pip install --force-reinstall torch --index-url {_CUDA_INDEX} "
        "(https://pytorch.org/get-started/locally names the index for each driver). With the Makefile: make clean, "
        f"then PIP_EXTRA_INDEX_URL={_CUDA_INDEX} make quickstart TORCH=torch==2.13.0+cu130."
    )


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory so far: what torch allocated on a GPU, or this process's resident memory on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == _MAC_OS else peak * 1024


def gpu_memory_share(device: torch.device) -> float | None:
    """The share of the GPU's memory that was needed so far at the peak: by this process, and by others now.

    What torch merely keeps for later counts as free. None on a CPU.
    """
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    of_others = max(0, total - free - torch.cuda.memory_reserved(device))
    return (of_others + torch.cuda.max_memory_allocated(device)) / total


def hardware(device: torch.device) -> dict[str, str]:
    """What the policy computes on, by part, for a person; nothing that names this machine or its user."""
    found = {
        "device": device.type,
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count() or "unknown"),
        "threads": str(torch.get_num_threads()),
    }
    if device.type == "cuda":
        properties = cast("Any", torch.cuda).get_device_properties(device)
        found["GPU"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return found


_TEXT_PART = "language_model."


def raise_if_too_large(folder: Path, name: str, *, dtype: torch.dtype, device: torch.device) -> None:
    """Compare the weights in ``folder`` with the memory that is free. Nothing but their headers is read.

    What computing takes comes on top and is not known here: a model that passes may still be too large.

    Raises:
        PolicyError: the weights alone don't fit.
    """
    needed = weight_bytes(folder, dtype)
    # Weights are put together in this machine's memory first, whatever the device.
    places = [torch.device("cpu")] if device.type == "cpu" else [device, torch.device("cpu")]
    for place in places:
        free = free_bytes(place)
        if free is not None and needed > free:
            raise PolicyError(
                f"{name} doesn't fit: its weights take {needed / 2**30:,.1f} GiB as "
                f"{str(dtype).removeprefix('torch.')}, and {free / 2**30:,.1f} GiB are free on {place}. Take a smaller "
                "model, policy.precision bf16 where there is hardware for it, another policy.device or machine."
            )


def weight_bytes(folder: Path, dtype: torch.dtype) -> int:
    """What the weights of the safetensors files in ``folder`` take as ``dtype``, in bytes.

    Of a model that also sees, only the part that reads and writes text counts: no other is loaded.
    """
    sizes = [item for file in weight_files(folder) for item in _parameters(folder / file)]
    text_sizes = [item for item in sizes if _TEXT_PART in item[0]]
    return dtype.itemsize * sum(count for _, count in text_sizes or sizes)


def free_bytes(device: torch.device) -> int | None:
    """How much memory is free on ``device``, in bytes; None on a system that doesn't tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return free_memory_bytes()


def _parameters(path: Path) -> Iterator[tuple[str, int]]:
    with cast("Any", safe_open(path, framework="np")) as weights:
        for key in weights.keys():  # noqa: SIM118 - no mapping
            yield key, math.prod(weights.get_slice(key).get_shape())
