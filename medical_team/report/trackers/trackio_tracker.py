# pyright: reportMissingImports=false
"""Trackio. Its files lie where it keeps all of them (``TRACKIO_DIR``), so that ``trackio show`` finds them."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import trackio

from .tracker import COLUMNS, Row, TrackedRun

_DESTINATIONS = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL")


def server_url(space: str) -> str:
    """Where it sends to when it is online."""
    return f"https://huggingface.co/spaces/{space}"


class TrackioTracker:
    """One run, gone on with under the same name after a resume."""

    def __init__(self, run: TrackedRun) -> None:
        with _no_destination_of_the_environment():
            self._run: Any = trackio.init(
                project=run.project,
                name=f"{run.name}-{run.id}",
                space_id=run.space,
                private=True,
                config=dict(run.config),
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Row]) -> None:
        """Keep the metrics of a step, and its games as a table."""
        values: dict[str, Any] = dict(metrics)
        if games:
            values["games"] = trackio.Table(columns=list(COLUMNS), data=[list(row) for row in games])
        self._run.log(values, step=step)

    def finish(self) -> None:
        """Write what is left."""
        self._run.finish()


@contextmanager
def _no_destination_of_the_environment() -> Generator[None]:
    """Only the configuration says where to send: what the environment names would get notes without a warning."""
    named = {name: os.environ.pop(name) for name in _DESTINATIONS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(named)
