"""Each role's policy learns from its role's samples alone; a pair is saved, restored and exported whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from learning import FULL, LORA, a_config, drawn_samples, experience, weights_of
from medical_team.config import PolicyConfig
from medical_team.errors import TrainingError
from medical_team.policy.pair import Policies, load_policies
from medical_team.policy.policy import Policy
from medical_team.records import Role
from medical_team.rl.learner import ReinforceLearner
from medical_team.rl.role_learners import RoleLearners, make_learner

ADAPTATIONS = pytest.mark.parametrize("policy_config", [LORA, FULL], ids=["lora", "full"])


def separate(policy_config: PolicyConfig, **training: Any):
    config = a_config(replace(policy_config, roles="separate"), **training)
    policies = load_policies(config.policy, seed=config.training.seed)
    return policies, make_learner(policies, config)


def all_weights(policies: Policies):
    return {(role, name): weights for role in Role for name, weights in weights_of(policies.policy_of(role)).items()}


def test_a_shared_policy_has_one_learner() -> None:
    config = a_config()
    assert isinstance(make_learner(load_policies(config.policy, seed=1), config), ReinforceLearner)


@ADAPTATIONS
@pytest.mark.parametrize("role", list(Role))
def test_a_role_s_samples_change_its_own_policy_alone(policy_config: PolicyConfig, role: Role) -> None:
    policies, learner = separate(policy_config)
    samples = [sample for sample in drawn_samples(policies.policy_of(role)) if sample.role is role]
    before = all_weights(policies)

    update = learner.learn(experience(samples), 0)

    changed = {key[0] for key, weights in all_weights(policies).items() if not torch.equal(weights, before[key])}
    assert changed == {role}
    assert update.samples == len(samples)
    assert (update.attacker_kl is None) is (role is Role.ASSESSOR)


@ADAPTATIONS
def test_each_role_learns_as_it_would_alone(policy_config: PolicyConfig) -> None:
    together, learner = separate(policy_config)
    samples = drawn_samples(together.policy_of(Role.ASSESSOR))
    update = learner.learn(experience(samples), 0)

    for role in Role:
        alone, other = separate(policy_config)
        other.learn(experience([sample for sample in samples if sample.role is role]), 0)
        for name, weights in weights_of(alone.policy_of(role)).items():
            assert torch.equal(weights, weights_of(together.policy_of(role))[name]), name
    assert update.samples == len(samples)


@ADAPTATIONS
def test_a_restored_pair_goes_on_to_the_same_weights(policy_config: PolicyConfig, tmp_path: Path) -> None:
    first, learner = separate(policy_config)
    samples = drawn_samples(first.policy_of(Role.ASSESSOR))
    learner.learn(experience(samples), 0)
    learner.save(tmp_path)
    expected = learner.learn(experience(samples), 1)

    second, restored = separate(policy_config)
    restored.restore(tmp_path)
    update = restored.learn(experience(samples), 1)

    assert update == expected
    assert all(torch.equal(weights, all_weights(first)[key]) for key, weights in all_weights(second).items())


@ADAPTATIONS
def test_the_export_is_the_assessor_with_the_attacker_inside(policy_config: PolicyConfig, tmp_path: Path) -> None:
    policies, learner = separate(policy_config, learning_rate=0.05)
    samples = drawn_samples(policies.policy_of(Role.ASSESSOR))
    learner.learn(experience(samples, learning_rate=0.05), 0)
    expected = {role: logits_of(policies.policy_of(role)) for role in Role}

    learner.export(tmp_path)

    for role, folder in ((Role.ASSESSOR, tmp_path), (Role.ATTACKER, tmp_path / "attacker")):
        exported = load_policies(replace(FULL, model=str(folder)), seed=0).policy_of(role)
        torch.testing.assert_close(logits_of(exported), expected[role], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(expected[Role.ASSESSOR], expected[Role.ATTACKER], atol=1e-3)


def logits_of(policy: Policy):
    with torch.inference_mode(), policy.inference_context() as model:
        return model(input_ids=torch.tensor([[1, 5, 9, 20]])).logits.clone()


def test_a_bad_gradient_of_one_role_names_the_step() -> None:
    policies, learner = separate(LORA)
    samples = drawn_samples(policies.policy_of(Role.ASSESSOR))
    broken = [replace(sample, reward=replace(sample.reward, total=float("nan"))) for sample in samples]
    with pytest.raises(TrainingError, match="step 7"):
        learner.learn(experience(broken), 7)
    assert isinstance(learner, RoleLearners)
