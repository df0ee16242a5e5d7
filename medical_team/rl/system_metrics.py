"""What a run leaves of its disk, for the metrics and their alarms."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from ..metrics.step_metrics import BYTES_PER_GIB
from ..runs.folder import RunFolder


def disk_metrics(run: RunFolder) -> dict[str, float]:
    """The numbers under ``disk/``, as :mod:`..metrics.step_metrics` names them.

    A number that the system doesn't tell is left out.
    """
    metrics: dict[str, float] = {}
    # A file system that doesn't answer such questions is no reason to stop a run.
    with contextlib.suppress(OSError):
        metrics["disk/free_gib"] = shutil.disk_usage(run.path).free / BYTES_PER_GIB
        latest = run.checkpoints.latest()
        if latest is not None:
            metrics["disk/checkpoint_gib"] = _size(run.checkpoints.path_of(latest)) / BYTES_PER_GIB
    return metrics


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
