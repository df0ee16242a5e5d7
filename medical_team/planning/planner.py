"""From a configuration to its plan. Loads no model, asks no network, makes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Union

from ..config import RunConfig
from .advice import advice_for
from .disk import disk_of
from .judge_memory import judge_problem
from .local_memory import local_memory
from .model_shape import ModelShape
from .openrlhf_memory import openrlhf_memory, sampler_problem
from .plan import Duration, MemoryPlan, Plan, Speeds, Unknown, Workload
from .shape_lookup import shape_of
from .workload import workload_of

NO_SPEEDS = Speeds()


def plan_of(config: RunConfig, speeds: Speeds = NO_SPEEDS) -> Plan:
    """What a run of ``config`` will cost.

    Args:
        config: checked already.
        speeds: what the time is reckoned with; what it leaves open has no time.
    """
    workload = workload_of(config)
    shape = shape_of(config.policy.model)
    known = shape if isinstance(shape, ModelShape) else None
    memory = _memory(config, shape, workload)

    def memory_after(changed: RunConfig) -> MemoryPlan | None:
        planned = _memory(changed, shape_of(changed.policy.model), _with_limits(workload, changed))
        return planned if isinstance(planned, MemoryPlan) else None

    return Plan(
        config=config,
        parameters=known.parameters if known else None,
        workload=workload,
        memory=memory,
        disk=disk_of(config, shape, workload) if isinstance(shape, ModelShape) else shape,
        duration=_duration(config, workload, speeds),
        problems=_problems(config, shape),
        advice=advice_for(config, memory, memory_after) if isinstance(memory, MemoryPlan) else (),
    )


def _duration(config: RunConfig, workload: Workload, speeds: Speeds) -> Duration:
    learnt = workload.expected_tokens * config.training.epochs_per_step
    return Duration(
        speeds,
        rollout_seconds=workload.expected_generated_tokens / speeds.rollout if speeds.rollout else None,
        training_seconds=learnt / speeds.training if speeds.training else None,
    )


def _memory(config: RunConfig, shape: Union[ModelShape, Unknown], workload: Workload) -> Union[MemoryPlan, Unknown]:
    if isinstance(shape, Unknown):
        return shape
    if config.engine.kind == "local":
        return local_memory(config, shape, workload)
    return openrlhf_memory(config, shape)


def _with_limits(workload: Workload, config: RunConfig) -> Workload:
    """``workload`` with the limits on tokens that ``config`` sets, without reading the data again."""
    limits = {"attacker": config.rollout.max_revision_tokens, "assessor": config.rollout.max_verdict_tokens}
    roles = (
        replace(role, max_prompt_tokens=config.rollout.max_prompt_tokens, max_reply_tokens=limits[role.role])
        for role in workload.roles
    )
    return replace(workload, roles=tuple(roles))


def _problems(config: RunConfig, shape: Union[ModelShape, Unknown]) -> tuple[str, ...]:
    """What can't start within its share, whatever the sum of the memory says."""
    if config.engine.kind == "local":
        return ()
    found = [judge_problem(config)]
    if isinstance(shape, ModelShape):
        found.append(sampler_problem(config, shape))
    return tuple(problem for problem in found if problem)
