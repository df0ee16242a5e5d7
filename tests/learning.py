"""What the tests of learning share: a tiny policy, its configuration, and samples that it drew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from builders import a_sample
from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig, RolloutConfig, RunConfig, TrainingConfig
from medical_team.game.rollout import Reply, RolloutRequest, Speaker
from medical_team.policy.policy import Policy
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.records import Role
from medical_team.rl.protocols import Experience
from medical_team.samples import Sample

LORA = PolicyConfig(model=TINY_RANDOM_MODEL, device="cpu", lora_rank=4)
FULL = replace(LORA, adaptation="full")


def a_config(policy: PolicyConfig = LORA, **training: Any) -> RunConfig:
    options: dict[str, Any] = {"learning_rate": 1e-3, **training}
    return RunConfig(policy=policy, rollout=RolloutConfig(temperature=1.0), training=TrainingConfig(**options))


def experience(samples: Sequence[Sample], *, learning_rate: float = 1e-3, **more: Any) -> Experience:
    """What a step learns from."""
    return Experience(learning_rate, tuple(samples), **more)


def sample_of(reply: Reply, role: Role = Role.ATTACKER, *, total: float = 1.0, game_id: str = "game") -> Sample:
    """What is learnt from a reply that got ``total``."""
    return a_sample(
        role,
        total=total,
        game_id=game_id,
        prompt_token_ids=reply.prompt_token_ids,
        token_ids=reply.token_ids,
        log_probs=reply.log_probs,
    )


def drawn_samples(policy: Policy, count: int = 8) -> list[Sample]:
    """Replies of the policy, of both roles, rewarded alternately."""
    requests = [
        RolloutRequest(Speaker(Role.ATTACKER), "note " * (1 + number % 5), "", max_tokens=4 + number, seed=number)
        for number in range(count)
    ]
    samples: list[Sample] = []
    rollout = TransformersRollout(policy, RolloutConfig(temperature=1.0), warn=lambda text: None)
    for number, reply in enumerate(rollout.generate(requests)):
        assert isinstance(reply, Reply)
        role = Role.ATTACKER if number % 4 < 2 else Role.ASSESSOR
        total = 1.5 if number % 2 else -0.5
        samples.append(sample_of(reply, role, total=total, game_id=f"game-{number}"))
    return samples


def weights_of(policy: Policy) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in policy.trainable_parameters()}
