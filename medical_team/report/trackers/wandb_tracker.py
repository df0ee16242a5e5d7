# pyright: reportMissingImports=false
"""Weights & Biases. Offline its files lie in the run's folder, and ``wandb sync`` sends them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import wandb

from .tracker import COLUMNS, Row, TrackedRun

_OWN_SERVER = "https://api.wandb.ai"
_STEP = "step"


def server_url() -> str:
    """Where it sends to when it is online."""
    return os.environ.get("WANDB_BASE_URL") or _OWN_SERVER


class WandbTracker:
    """One run, gone on with under the same id after a resume."""

    def __init__(self, run: TrackedRun) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project=run.project,
            name=run.name,
            id=run.id,
            resume="allow",
            dir=str(run.folder),
            config=dict(run.config),
            mode="online" if run.is_online else "offline",
            save_code=False,
            # What the program prints may hold notes, and what it is started with may hold paths.
            settings=wandb.Settings(console="off", silent=True, disable_git=True, x_disable_meta=True),
        )
        # Its own counter can't go back to the step from which a run is resumed.
        self._run.define_metric(_STEP)
        self._run.define_metric("*", step_metric=_STEP)

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Row]) -> None:
        """Keep the metrics of a step, and its games as a table."""
        values: dict[str, Any] = {**metrics, _STEP: step}
        if games:
            values["games"] = wandb.Table(columns=list(COLUMNS), data=list(games))
        self._run.log(values)

    def finish(self) -> None:
        """Write what is left."""
        self._run.finish()
