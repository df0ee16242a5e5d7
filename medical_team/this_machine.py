"""What is known of this machine without torch: how much memory is free, and whether it has an NVIDIA GPU."""

from __future__ import annotations

import shutil
from pathlib import Path

BF16_CPU_CAPABILITIES = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""What ``torch.cpu.get_capabilities`` calls hardware for bf16."""

NVIDIA_DRIVER_FILE = Path("/proc/driver/nvidia/version")


def has_nvidia_driver() -> bool:
    """Whether the driver of an NVIDIA GPU is installed."""
    return shutil.which("nvidia-smi") is not None or NVIDIA_DRIVER_FILE.exists()


def free_memory_bytes(
    *, information: Path = Path("/proc/meminfo"), control_group: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """How much memory programs can still take: no more than the limit of a container leaves. None where nobody says.

    Args:
        information: the kernel's file on the machine's memory.
        control_group: the folder of the container's limits.
    """
    known = [free for free in (_free_of_all(information), _free_in_container(control_group)) if free is not None]
    return min(known, default=None)


def _free_of_all(information: Path) -> int | None:
    try:
        lines = information.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    available = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if available is None else int(available) * 1024


def _free_in_container(control_group: Path) -> int | None:
    try:
        limit = (control_group / "memory.max").read_text(encoding="ascii").strip()
        used = int((control_group / "memory.current").read_text(encoding="ascii"))
        pages = dict(line.split() for line in (control_group / "memory.stat").read_text(encoding="ascii").splitlines())
        # Files that were read count as used until somebody else wants the memory.
        cached = int(pages["file"]) - int(pages["shmem"])
        return max(0, int(limit) - used + cached)
    except (OSError, ValueError, KeyError):
        # no such group, or no limit ("max")
        return None
