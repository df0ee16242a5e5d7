"""What a step leaves of the GPU's memory and of the disk, for the metrics and their alarms."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import torch

from ..metrics.step_metrics import BYTES_PER_GIB
from ..policy.devices import gpu_memory_share
from ..runs.folder import RunFolder


def surroundings_metrics(run: RunFolder, device: torch.device) -> dict[str, float]:
    """The numbers under ``memory/gpu_share`` and ``disk/``, as :mod:`..report.metrics` names them.

    A number that the system doesn't tell is left out.
    """
    metrics: dict[str, float] = {}
    share = gpu_memory_share(device)
    if share is not None:
        metrics["memory/gpu_share"] = share
    # A file system that doesn't answer such questions is no reason to stop a run.
    with contextlib.suppress(OSError):
        metrics["disk/free_gib"] = shutil.disk_usage(run.path).free / BYTES_PER_GIB
        latest = run.checkpoints.latest()
        if latest is not None:
            metrics["disk/checkpoint_gib"] = _size(run.checkpoints.path_of(latest)) / BYTES_PER_GIB
    return metrics


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
