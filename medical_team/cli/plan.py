"""``medical-team train --plan``: what a run would cost, before anything starts."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from math import isfinite
from typing import Annotated

import tyro

from ..config import RunConfig
from ..engines.openrlhf.command import openrlhf_problems
from ..engines.red_team_fork.command import red_team_fork_problems
from ..errors import UsageError
from ..planning.plan import Speeds
from ..planning.plan_text import plan_json, plan_text
from ..planning.planner import plan_of
from ..runs.config_file import check_config
from .arguments import say


@dataclass(frozen=True)
class PlanArguments:
    """Planning instead of training."""

    plan: bool = False
    """Print what the run would take (steps, samples, tokens, memory by part, disk, time), and start nothing."""
    plan_json: bool = False
    """The same as JSON."""
    plan_rollout_speed: Annotated[float | None, tyro.conf.arg(metavar="TOKENS/S")] = None
    """Tokens that are generated in a second, for the plan's time; all machines together."""
    plan_training_speed: Annotated[float | None, tyro.conf.arg(metavar="TOKENS/S")] = None
    """Tokens, of prompts and replies, that are learnt from in a second, for the plan's time."""

    @property
    def is_wanted(self) -> bool:
        """Whether to plan instead of training."""
        speeds = (self.plan_rollout_speed, self.plan_training_speed)
        return self.plan or self.plan_json or any(speed is not None for speed in speeds)


NO_PLAN = PlanArguments()
"""Train."""


def show_plan(config: RunConfig, arguments: PlanArguments) -> int:
    """Print the plan of ``config``. Returns the exit status: 0 also where it doesn't fit, which is said.

    Raises:
        ConfigError: the configuration can't be used.
        UsageError: a speed is not positive.
    """
    check_config(config)
    speeds = Speeds(arguments.plan_rollout_speed, arguments.plan_training_speed)
    for option, speed in (("--plan-rollout-speed", speeds.rollout), ("--plan-training-speed", speeds.training)):
        if speed is not None and not (isfinite(speed) and speed > 0):
            raise UsageError(f"{option} is {speed:g}, expected tokens in a second, more than 0")
    plan = plan_of(config, speeds)
    plan = replace(plan, problems=(*plan.problems, *_engine_problems(config)))
    if arguments.plan_json:
        sys.stdout.write(plan_json(plan))
    else:
        say(plan_text(plan))
    return 0


def _engine_problems(config: RunConfig) -> list[str]:
    if config.engine.kind == "openrlhf":
        return openrlhf_problems(config)
    return red_team_fork_problems(config) if config.engine.kind == "red-team-fork" else []
