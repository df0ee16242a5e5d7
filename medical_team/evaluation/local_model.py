"""A model in this process as a source of replies. The only place of evaluation that builds one; it needs torch."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from ..callbacks import Notify
from ..config import Device, Precision, RolloutConfig, RolloutEngine
from ..game.rollout import Rollout, TrainingRollout
from ..policy.pair import frozen_policies
from ..policy.probe import probe_policy
from ..policy.rollout_engines import choose_engine
from ..policy.vllm_rollout import VllmRollout
from ..records import Role


def local_rollout(
    location: str,
    rollout: RolloutConfig,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    day: date,
    engine: RolloutEngine | None = None,
    beside: TrainingRollout | None = None,
    notify: Notify = lambda text: None,
) -> Rollout:
    """Replies of the model at ``location``, whose chat template is told ``day``.

    Args:
        engine: what draws them, chosen as for a run; None: as ``rollout`` says.
        beside: what draws other replies in turn. Where it is a vLLM engine of another shape, this one is the built-in.

    Raises:
        PolicyError: it can't be loaded or used.
        VllmUnavailableError: vLLM is asked for, and is not installed or doesn't start with this model.
    """
    policies = frozen_policies(location, device=device, precision=precision, day=day, notify=notify)
    policy = policies.policy_of(Role.ASSESSOR)
    probe_policy(policy)
    if engine is not None:
        # What a run's own engine rounded is no matter of this model's precision.
        rollout = replace(rollout, engine=engine, precision="auto")
    # Nothing is learnt from what is drawn here.
    rollout = replace(rollout, correction="none")
    if isinstance(beside, VllmRollout) and not beside.can_host(policies):
        rollout = replace(rollout, engine="transformers", precision="auto")
    chosen = choose_engine(policies, rollout, notify, warn=notify)
    if chosen.config.engine == "vllm" or policy.device.type == "cuda":
        notify(chosen.reason)
    return chosen.rollout
