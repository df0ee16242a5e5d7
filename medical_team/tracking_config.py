"""The section of a configuration that says which trackers of experiments are told of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config_bounds import bounded
from .records import Closed

TrackerName = Literal["wandb", "trackio"]


@dataclass(frozen=True)
class TrackingConfig(Closed):
    """Trackers beside TensorBoard and the run's own files, where they are installed; offline unless told otherwise."""

    trackers: tuple[TrackerName, ...] = ()
    """"wandb" (Weights & Biases), "trackio", or both."""
    project: str = "medical-team"
    """The project under which they keep the run."""
    online: bool = False
    """Send to the tracker's server: Weights & Biases' own or the one in WANDB_BASE_URL, and for Trackio `space`. Off:
    everything stays on this machine; `wandb sync` or `trackio sync` send it later."""
    space: str = ""
    """Trackio's Hugging Face Space, OWNER/NAME, where online; a new one is made private."""
    games_per_step: int = bounded(8, minimum=0, maximum=1000)
    """Games of each step in a table, with their notes; 0: only numbers, no note."""
