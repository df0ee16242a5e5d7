"""``medical-team train --plan``: what a run would cost, before anything starts, and what a step of it takes here."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from ..config import RunConfig
from ..engines.openrlhf.command import openrlhf_problems
from ..engines.red_team_fork.command import red_team_fork_problems
from ..planning.memory import is_local_on_gpu
from ..planning.plan import GIB, Measurement, MemoryPlan, Plan, Unknown
from ..planning.planner import plan_json, plan_of, plan_text
from ..runs.config_file import check_config
from ..this_machine import free_memory_bytes, has_nvidia_driver
from .arguments import say


@dataclass(frozen=True)
class PlanArguments:
    """Planning instead of training."""

    plan: bool = False
    """Print what the run would take (steps, samples, tokens, memory by part, disk, time), and start nothing."""
    plan_json: bool = False
    """The same as JSON."""
    plan_without_probe: bool = False
    """Only reckon: load no model, and measure no step of it."""

    @property
    def is_wanted(self) -> bool:
        """Whether to plan instead of training."""
        return self.plan or self.plan_json or self.plan_without_probe


NO_PLAN = PlanArguments()
"""Train."""


def show_plan(config: RunConfig, arguments: PlanArguments) -> int:
    """Print the plan of ``config``. Returns the exit status: 0 also where it doesn't fit, which is said.

    Raises:
        ConfigError: the configuration can't be used.
    """
    check_config(config)
    plan = plan_of(config)
    measured = Unknown("--plan-without-probe") if arguments.plan_without_probe else _measured(plan)
    plan = replace(plan, measured=measured, problems=(*plan.problems, *_engine_problems(config)))
    if arguments.plan_json:
        sys.stdout.write(plan_json(plan))
    else:
        say(plan_text(plan))
    return 0


def _engine_problems(config: RunConfig) -> list[str]:
    if config.engine.kind == "openrlhf":
        return openrlhf_problems(config)
    return red_team_fork_problems(config) if config.engine.kind == "red-team-fork" else []


def _measured(plan: Plan) -> Measurement | Unknown:
    """A step of the plan on this machine, where it can be taken here."""
    config, memory = plan.config, plan.memory
    if config.engine.kind != "local":
        return Unknown(f"the engine {config.engine.kind} has processes of its own; a run of a few steps measures them")
    if config.policy.device == "cuda" and not has_nvidia_driver():
        return Unknown("this machine has no GPU")
    if isinstance(memory, MemoryPlan) and not is_local_on_gpu(config):
        free = free_memory_bytes()
        if free is not None and memory.peak_bytes > free:
            return Unknown(f"the peak of {memory.peak_bytes / GIB:.1f} GiB is more than the {free / GIB:.1f} GiB free")
    try:
        from ..train.measurement import measure_step
    except ModuleNotFoundError as error:
        return Unknown(f"{error.name} is not installed here: pip install 'medical-team[train]'")
    sys.stderr.write("Measuring a step with the longest notes (--plan-without-probe leaves that out) ...\n")
    return measure_step(config)
