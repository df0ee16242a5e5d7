"""Which engine draws the replies of a run, or of a model that only speaks, and why that one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from datetime import date

from ..callbacks import Notify
from ..config import Device, Precision, RolloutConfig, RolloutEngine
from ..errors import PolicyError, VllmUnavailableError
from ..game.rollout import Rollout, TrainingRollout
from ..records import Role
from .pair import Policies, frozen_policies
from .probe import probe_policy
from .transformers_rollout import TransformersRollout
from .vllm_rollout import VllmRollout
from .vllm_room import vllm_version


@dataclass(frozen=True)
class ChosenEngine:
    """An engine that has started."""

    rollout: TrainingRollout
    config: RolloutConfig
    """With the choice written out, so that a resumed run goes on with the same engine."""
    reason: str
    """A line for a person: which engine, and why."""


def choose_engine(
    policies: Policies,
    config: RolloutConfig,
    notify: Notify = lambda text: None,
    warn: Notify = warnings.warn,
) -> ChosenEngine:
    """Start the engine that ``rollout.engine`` names. ``auto`` tries vLLM on a GPU, and says why where it isn't taken.

    Args:
        notify: told of restarts.
        warn: told of what makes drawing slow.

    Raises:
        VllmUnavailableError: vLLM is asked for, and is not installed or doesn't start with this model.
        PolicyError: an option is for the other engine.
    """
    if config.engine == "vllm":
        return _vllm(policies, config, "as rollout.engine says", notify)
    if config.engine == "transformers":
        return _built_in(policies, config, warn, "as rollout.engine says")
    if policies.policy_of(Role.ASSESSOR).device.type != "cuda":
        return _built_in(policies, config, warn, "on a CPU it is exact and starts at once")
    if vllm_version() is None:
        return _built_in(policies, config, warn, "vLLM, which is faster, is not installed: docs/vllm.md")
    try:
        return _vllm(policies, config, "on a GPU, where it is installed", notify)
    except VllmUnavailableError as error:
        return _built_in(policies, config, warn, f"since {error}")


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


def _vllm(policies: Policies, config: RolloutConfig, why: str, notify: Notify) -> ChosenEngine:
    policy = policies.policy_of(Role.ASSESSOR)
    rollout = VllmRollout(policies, config, notify=notify)
    correction = config.correction
    if correction == "auto":
        correction = "none" if rollout.dtype == policy.compute_dtype else "truncated"
    chosen = replace(config, engine="vllm", correction=correction)
    precision = str(rollout.dtype).removeprefix("torch.")
    repeats = "" if policy.device.type == "cpu" else "; runs are not bit-exact with vLLM"
    corrected = "" if correction == "none" else "; each token's loss is corrected for what the engine rounds otherwise"
    return ChosenEngine(
        rollout, chosen, f"Replies are drawn by {vllm_version()} in {precision}, {why}{corrected}{repeats}."
    )


def _built_in(policies: Policies, config: RolloutConfig, warn: Notify, why: str) -> ChosenEngine:
    if config.precision != "auto":
        raise PolicyError(
            f"rollout.precision is {config.precision}, but the built-in engine computes as the policy does. Set it to "
            "auto, or rollout.engine to vllm."
        )
    correction = "none" if config.correction == "auto" else config.correction
    chosen = replace(config, engine="transformers", correction=correction)
    reason = f"Replies are drawn by the built-in engine: {why}{'' if why.endswith('.') else '.'}"
    return ChosenEngine(TransformersRollout(policies, config, warn=warn), chosen, reason)
