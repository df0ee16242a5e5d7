"""Which device and precision the policy computes with, and how much memory it took."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import torch

from ..config import Device, Precision
from ..errors import PolicyError

_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_MAC_OS = "darwin"
_CUDA_INDEX = "https://download.pytorch.org/whl/cu130"
_BF16_CPU_CAPABILITIES = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


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
    of magnitude. A run settles before it begins whether its policy takes bf16 there (:mod:`.auto_precision`).

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
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(bool(capabilities.get(name)) for name in _BF16_CPU_CAPABILITIES)


def cpu_only_torch_warning() -> str | None:
    """A sentence that names the remedy where an NVIDIA GPU lies idle under a torch without CUDA; else None."""
    if torch.version.cuda is not None or not _has_nvidia_driver():
        return None
    return (
        f"this machine has an NVIDIA GPU, but the installed torch {torch.__version__} is built without CUDA. Install a "
        f"build with CUDA from PyTorch's own index: pip install --force-reinstall torch --index-url {_CUDA_INDEX} "
        "(https://pytorch.org/get-started/locally names the index for each driver). With the Makefile: make clean, "
        f"then PIP_EXTRA_INDEX_URL={_CUDA_INDEX} make quickstart TORCH=torch==2.13.0+cu130."
    )


def peak_memory_bytes(device: torch.device) -> int:
    """The most memory so far: what torch allocated on a GPU, or this process's resident memory on a CPU.

    Returns 0 on a system that doesn't tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
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
        properties = torch.cuda.get_device_properties(device)
        found["GPU"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    return found


def _has_nvidia_driver() -> bool:
    return shutil.which("nvidia-smi") is not None or _NVIDIA_DRIVER.exists()
