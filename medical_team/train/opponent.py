"""The fixed opponent of a run: a model of somebody's choice, which only speaks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ..callbacks import Notify
from ..config import RunConfig
from ..errors import MedicalTeamError, UsageError
from ..evaluation.model_choice import choose_model
from ..game.rollout import FIXED, RoutedRollout, TrainingRollout
from ..policy.pair import Policies
from ..policy.rollout_engines import speaking_policies, speaking_rollout
from ..rl.protocols import Listener


def with_fixed_opponent(rollout: TrainingRollout, config: RunConfig, told: Listener) -> TrainingRollout:
    """``rollout``, and beside it the replies of ``opponents.fixed``, where there is one.

    Raises:
        UsageError: it can't play.
    """
    if config.opponents.fixed is None:
        return rollout
    told.notice(f"Loading the opponent {config.opponents.fixed} ...")
    policies = load_opponent(config.opponents.fixed, config, told.notice)
    with _named(config.opponents.fixed):
        fixed = speaking_rollout(policies, config.rollout, beside=rollout, notify=told.notice)
    return RoutedRollout(rollout, {FIXED: fixed})


def load_opponent(name: str, config: RunConfig, notify: Notify = lambda text: None) -> Policies:
    """The model that ``name``, the ``opponents.fixed`` of ``config``, means: loaded, and tried whether it speaks.

    Raises:
        UsageError: it can't play.
    """
    policy = config.policy
    with _named(name):
        choice = choose_model(name)
        if choice.is_baseline:
            raise UsageError("it is a baseline of evaluations, not a model.")
        return speaking_policies(
            choice.location,
            device=policy.device,
            precision=policy.precision,
            day=policy.day,
            notify=notify,
        )


@contextmanager
def _named(name: str) -> Generator[None]:
    """Let errors tell which option names what can't play."""
    try:
        yield
    except MedicalTeamError as error:
        raise UsageError(
            f"opponents.fixed is {name!r}, which can't play: {error} For a run that has begun, write the "
            "place to which its opponent was moved into config.toml (opponents.fixed)."
        ) from error
