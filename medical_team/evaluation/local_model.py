"""A model in this process as a source of replies. The only place of evaluation that builds one; it needs torch."""

from __future__ import annotations

from datetime import date

from ..callbacks import Notify
from ..config import Device, Precision, RolloutConfig
from ..game.rollout import Rollout
from ..policy.frozen import frozen_policies
from ..policy.probe import probe_policy
from ..policy.transformers_rollout import TransformersRollout
from ..records import Role


def local_rollout(
    location: str,
    rollout: RolloutConfig,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    day: date,
    notify: Notify = lambda text: None,
) -> Rollout:
    """Replies of the model at ``location``, whose chat template is told ``day``.

    Raises:
        PolicyError: it can't be loaded or used.
    """
    policies = frozen_policies(location, device=device, precision=precision, day=day, notify=notify)
    probe_policy(policies.policy_of(Role.ASSESSOR))
    return TransformersRollout(policies, rollout, warn=notify)
