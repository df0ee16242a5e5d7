"""Which engine draws the replies of a run, or of a model that only speaks, and why that one."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from datetime import date

from ..callbacks import Notify
from ..config import Device, Precision, RolloutConfig, RolloutEngine
from ..errors import VllmUnavailableError
from ..game.rollout import Rollout, TrainingRollout
from ..records import Role
from .pair import FrozenPolicy, Policies, PolicyPair, attacker_folder
from .probe import probe_policy
from .transformers_rollout import TransformersRollout
from .vllm_rollout import VllmRollout
from .vllm_room import check_built_in, planned_engine, vllm_version


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
    planned = planned_engine(config, policies.policy_of(Role.ASSESSOR).device.type)
    if not planned.is_vllm:
        return _built_in(policies, config, warn, planned.why)
    try:
        return _vllm(policies, config, planned.why, notify)
    except VllmUnavailableError as error:
        if config.engine == "vllm":
            raise
        return _built_in(policies, config, warn, f"since {error}")


def local_rollout(
    location: str,
    rollout: RolloutConfig,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    day: date,
    engine: RolloutEngine | None = None,
    notify: Notify = lambda text: None,
) -> Rollout:
    """Replies of the model at ``location``, whose chat template is told ``day``.

    Args:
        engine: what draws them, chosen as for a run; None: as ``rollout`` says.

    Raises:
        PolicyError: it can't be loaded or used.
        VllmUnavailableError: vLLM is asked for, and is not installed or doesn't start with this model.
    """
    policies = speaking_policies(location, device=device, precision=precision, day=day, notify=notify)
    if engine is not None:
        # What a run's own engine rounded is no matter of this model's precision.
        rollout = replace(rollout, engine=engine, precision="auto")
    return speaking_rollout(policies, rollout, notify=notify)


def speaking_policies(
    location: str,
    *,
    device: Device = "auto",
    precision: Precision = "auto",
    day: date,
    notify: Notify = lambda text: None,
) -> Policies:
    """What only speaks at ``location``: one model, or the pair of a run whose roles have their own policies.

    It is tried as a run tries its policy.

    Raises:
        PolicyError: it can't be loaded or used.
    """

    def frozen(model: str) -> FrozenPolicy:
        return FrozenPolicy(model, device=device, precision=precision, day=day, notify=notify)

    attacker = attacker_folder(location)
    assessor = frozen(location)
    policies = assessor if attacker is None else PolicyPair(assessor, lambda: frozen(str(attacker)))
    probe_policy(policies.policy_of(Role.ASSESSOR))
    return policies


def speaking_rollout(
    policies: Policies,
    rollout: RolloutConfig,
    *,
    beside: TrainingRollout | None = None,
    notify: Notify = lambda text: None,
) -> Rollout:
    """Replies of ``policies`` that only speak.

    Args:
        beside: what draws other replies in turn. Where it is a vLLM engine of another shape, this one is the built-in.

    Raises:
        VllmUnavailableError: vLLM is asked for, and is not installed or doesn't start with this model.
    """
    # Nothing is learnt from what is drawn here.
    rollout = replace(rollout, correction="none")
    if isinstance(beside, VllmRollout) and not beside.can_host(policies):
        rollout = replace(rollout, engine="transformers", precision="auto")
    chosen = choose_engine(policies, rollout, notify, warn=notify)
    if chosen.config.engine == "vllm" or policies.policy_of(Role.ASSESSOR).device.type == "cuda":
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
    check_built_in(config)
    correction = "none" if config.correction == "auto" else config.correction
    chosen = replace(config, engine="transformers", correction=correction)
    reason = f"Replies are drawn by the built-in engine: {why}{'' if why.endswith('.') else '.'}"
    return ChosenEngine(TransformersRollout(policies, config, warn=warn), chosen, reason)
