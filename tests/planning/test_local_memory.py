"""The local engine's memory against the tensors of a real update on the CPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from builders import a_sample, memory_of, present
from medical_team.config import PolicyConfig, RolloutConfig, RunConfig
from medical_team.game.rollout import REFERENCE
from medical_team.policy.policy import Policy
from medical_team.rl.learner import ReinforceLearner
from medical_team.rl.protocols import Experience
from medical_team.samples import Sample
from tiny_models import save_tiny_model

if TYPE_CHECKING:
    pass


SAMPLING = RolloutConfig(max_prompt_tokens=64, max_revision_tokens=32, max_verdict_tokens=8)


@pytest.fixture(params=["lora", "full"])
def learnt(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Policy, ReinforceLearner, RunConfig]:
    """A policy and its learner after one update, with gradients still there; and its configuration."""
    save_tiny_model(tmp_path, architecture="qwen2")
    config = RunConfig(
        policy=PolicyConfig(model=str(tmp_path), adaptation=request.param, lora_rank=4, device="cpu", precision="fp32"),
        rollout=SAMPLING,
    )
    config = replace(config, training=replace(config.training, learning_rate=1e-3))
    policy = Policy(config.policy, seed=1)
    learner = ReinforceLearner(policy, config)
    learner.learn(Experience(1e-3, tuple(a_drawn_sample(total) for total in (1.0, -1.0))), 0)
    return policy, learner, config


def a_drawn_sample(total: float) -> Sample:
    return a_sample(
        total=total, prompt_token_ids=tuple(range(5, 25)), token_ids=(30, 31, 32), log_probs=(-5.0, -5.0, -5.0)
    )


def planned(config: RunConfig, *names: str) -> int:
    parts = {part.name: part.bytes for part in memory_of(config).parts}
    return sum(parts.get(name, 0) for name in names)


def storage_bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def test_weights_take_what_the_plan_says(learnt: tuple[Policy, ReinforceLearner, RunConfig]) -> None:
    policy, _, config = learnt

    assert planned(config, "policy weights", "LoRA adapter") == storage_bytes(policy.model.parameters())


def test_gradients_take_what_the_plan_says(learnt: tuple[Policy, ReinforceLearner, RunConfig]) -> None:
    policy, _, config = learnt
    gradients = [present(parameter.grad) for _, parameter in policy.trainable_parameters()]

    assert planned(config, "gradients") == storage_bytes(gradients)


def test_the_optimizer_takes_what_the_plan_says(learnt: tuple[Policy, ReinforceLearner, RunConfig]) -> None:
    _, learner, config = learnt
    # AdamW's count of steps is one number a tensor, and no moment.
    moments = [
        value
        for state in learner.optimizer.state.values()
        for name, value in state.items()
        if torch.is_tensor(value) and name != "step"
    ]

    assert planned(config, "optimizer (AdamW)") == storage_bytes(moments)


def test_the_reference_takes_what_the_plan_says(learnt: tuple[Policy, ReinforceLearner, RunConfig]) -> None:
    policy, _, config = learnt
    living = set(policy.model.parameters())
    with policy.inference_context(REFERENCE) as reference:
        own = set(reference.parameters()) - living

    assert planned(config, "reference model") == storage_bytes(own)
