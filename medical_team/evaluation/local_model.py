"""A model in this process as a source of replies. The only place of evaluation that builds one; it needs torch."""

from __future__ import annotations

from collections.abc import Callable

from ..config import Device, Precision, RolloutConfig
from ..game.rollout import Rollout
from ..policy.frozen import FrozenPolicy
from ..policy.transformers_rollout import TransformersRollout


def local_rollout(
    location: str,
    rollout: RolloutConfig,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    notify: Callable[[str], None] = lambda text: None,
) -> Rollout:
    """Replies of the model at ``location``.

    Raises:
        PolicyError: it can't be loaded or used.
    """
    return TransformersRollout(FrozenPolicy(location, device=device, precision=precision, notify=notify), rollout)
