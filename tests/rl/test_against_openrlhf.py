"""Our advantages and loss against OpenRLHF 0.11.2's own functions, wherever that package is installed.

Its modules import ray, vLLM and DeepSpeed, which the functions compared here never use: stand-ins are put in their
place for the import alone.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pytest
import torch

from medical_team.config import AdvantageNormalization, LossAveraging
from medical_team.records import Role
from medical_team.rl.reinforce import clipped_token_losses, kl_estimates, reinforce_advantages, token_weights
from needs import OPENRLHF

STAND_INS = ("openrlhf", "ray", "vllm", "deepspeed")
UNUSED_ENGINES = ("ray", "ray.util", "ray.util.placement_group", "vllm", "deepspeed")
UNUSED_MODULES = (
    "openrlhf.trainer.ray",
    "openrlhf.trainer.ray.launcher",
    "openrlhf.trainer.ray.utils",
    "openrlhf.models.actor",
    "openrlhf.models.model",
)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Any]:
    OPENRLHF.module("openrlhf")
    before = dict(sys.modules)
    for name in (*UNUSED_ENGINES, *UNUSED_MODULES):
        sys.modules[name] = MagicMock(__path__=[])
    try:
        yield SimpleNamespace(
            experience_maker=importlib.import_module("openrlhf.trainer.ppo_utils.experience_maker"),
            experience=importlib.import_module("openrlhf.trainer.ppo_utils.experience"),
            loss=importlib.import_module("openrlhf.models.loss"),
            utils=importlib.import_module("openrlhf.models.utils"),
        )
    finally:
        # Parts of torch that were loaded meanwhile stay: they can't be loaded twice.
        for name in [name for name in sys.modules if name.partition(".")[0] in STAND_INS]:
            del sys.modules[name]
        sys.modules.update({name: module for name, module in before.items() if name.partition(".")[0] in STAND_INS})


@pytest.fixture
def rollout() -> Any:
    """Eight samples with replies of one to twelve tokens."""
    generator = torch.Generator().manual_seed(3)
    lengths_N = torch.randint(1, 13, (8,), generator=generator)
    mask_NR = torch.arange(12) < lengths_N[:, None]
    old_NR = -torch.rand(8, 12, generator=generator)
    return SimpleNamespace(
        mask_NR=mask_NR,
        old_NR=old_NR,
        new_NR=old_NR + 0.3 * torch.randn(8, 12, generator=generator),
        reference_NR=old_NR + 0.1 * torch.randn(8, 12, generator=generator),
        rewards_N=torch.randint(-3, 4, (8,), generator=generator) * 0.5,
    )


ROLES = [Role.ATTACKER, Role.ASSESSOR] * 4


def our_advantages(rollout: Any, normalization: AdvantageNormalization = "batch") -> torch.Tensor:
    kl_NR = kl_estimates(rollout.old_NR, rollout.reference_NR, rollout.mask_NR)
    return reinforce_advantages(
        rollout.rewards_N, kl_NR, rollout.mask_NR, ROLES, kl_coefficient=0.05, normalization=normalization
    ).values_NR


def samples_of(rollout: Any, role: Role) -> SimpleNamespace:
    """The part of ``rollout`` that ``role`` said."""
    is_role_N = torch.tensor([row_role is role for row_role in ROLES])
    columns = cast("dict[str, torch.Tensor]", vars(rollout))
    return SimpleNamespace(**{name: values[is_role_N] for name, values in columns.items()})


def upstream_advantages(upstream: Any, rollout: Any) -> torch.Tensor:
    maker = object.__new__(upstream.experience_maker.RemoteExperienceMaker)
    maker.advantage_estimator = "reinforce"
    maker.kl_ctl = SimpleNamespace(value=0.05)
    options = MagicMock()
    options.rollout.n_samples_per_prompt = 1
    options.reward.clip_range = None
    options.reward.overlong_buffer_len = options.reward.stop_properly_penalty_coef = None
    options.algo.advantage = SimpleNamespace(estimator="reinforce", gamma=1.0, no_std_norm=False)
    maker.strategy = SimpleNamespace(args=options)
    mask_NR = rollout.mask_NR
    experience = upstream.experience.Experience(
        action_mask=mask_NR,
        kl=upstream.utils.compute_approx_kl(rollout.old_NR, rollout.reference_NR, kl_estimator="k1") * mask_NR,
        rewards=rollout.rewards_N,
        index=list(range(len(mask_NR))),
        info={},
    )
    (experience,) = maker.compute_advantages_and_returns([experience])
    return experience.advantages


def test_advantages_with_batch_normalisation_are_upstreams(upstream: Any, rollout: Any) -> None:
    mask_NR = rollout.mask_NR

    torch.testing.assert_close(
        our_advantages(rollout)[mask_NR], upstream_advantages(upstream, rollout)[mask_NR], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("role", list(Role))
def test_advantages_normalised_by_role_are_upstreams_over_the_samples_of_that_role_alone(
    upstream: Any, rollout: Any, role: Role
) -> None:
    ours_NR = samples_of(SimpleNamespace(values_NR=our_advantages(rollout, "role")), role).values_NR
    of_role = samples_of(rollout, role)

    theirs_NR = upstream_advantages(upstream, of_role)

    torch.testing.assert_close(ours_NR[of_role.mask_NR], theirs_NR[of_role.mask_NR], rtol=1e-5, atol=1e-6)


def test_upstream_itself_normalises_over_both_roles(upstream: Any, rollout: Any) -> None:
    by_role_NR, mask_NR = our_advantages(rollout, "role"), rollout.mask_NR

    assert (by_role_NR - upstream_advantages(upstream, rollout))[mask_NR].abs().max() > 0.1


@pytest.mark.parametrize(("averaging", "is_token_level"), [("token-mean", True), ("seq-mean-token-mean", False)])
def test_the_loss_is_upstreams(upstream: Any, rollout: Any, averaging: LossAveraging, is_token_level: bool) -> None:
    advantages_NR = our_advantages(rollout)

    losses_NR, is_clipped_NR = clipped_token_losses(rollout.new_NR, rollout.old_NR, advantages_NR, 0.2)
    our_loss = (losses_NR * token_weights(rollout.mask_NR, averaging)).sum()

    policy_loss = upstream.loss.PolicyLoss(0.2, 0.2, token_level_loss=is_token_level)
    their_loss, their_clip_ratio, *_ = policy_loss(
        rollout.new_NR, rollout.old_NR, advantages_NR, action_mask=rollout.mask_NR
    )
    torch.testing.assert_close(our_loss, their_loss)
    torch.testing.assert_close(is_clipped_NR[rollout.mask_NR].float().mean(), their_clip_ratio)
