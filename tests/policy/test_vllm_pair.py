"""The real vLLM, on a CPU, with a policy for each role and with past selves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from vllm_cases import CONFIG, make_policy, save_model

from medical_team.game.rollout import REFERENCE, Reply, RolloutRequest, Speaker
from medical_team.policy.pair import PolicyPair
from medical_team.policy.transformers_rollout import TransformersRollout
from medical_team.policy.vllm_rollout import VllmRollout
from medical_team.records import LIVING, Role
from needs import VLLM

VLLM.module("vllm")


@pytest.mark.parametrize("serves_adapters", [False, True])
def test_each_role_and_version_speaks_as_with_the_built_in_engine(tmp_path: Path, serves_adapters: bool) -> None:
    assessor = make_policy(save_model(tmp_path / "model"))
    attacker = assessor.beside("attacker", seed=2)
    pair = PolicyPair(assessor, lambda: attacker)
    torch.default_generator.manual_seed(5)
    for policy in (assessor, attacker):
        for _, weights in policy.trainable_parameters():
            weights.data += 0.3 * torch.randn_like(weights)
        policy.save(tmp_path / "past" / ("" if policy is assessor else "attacker"))
    for _, weights in assessor.trainable_parameters():
        weights.data += 0.3 * torch.randn_like(weights)
    versions = (LIVING, REFERENCE, "step-000010")
    requests = [
        RolloutRequest(Speaker(role, version), "the note", "", max_tokens=6, seed=3, is_greedy=True)
        for role in Role
        for version in versions
    ]
    expected = TransformersRollout(pair, CONFIG)
    rollout = VllmRollout(pair, replace(CONFIG), serves_adapters=serves_adapters)
    try:
        rollout.set_past_versions({"step-000010": tmp_path / "past"})
        texts = [reply.text for reply in rollout.generate(requests) if isinstance(reply, Reply)]
    finally:
        rollout.close()

    assert texts == [reply.text for reply in expected.generate(requests) if isinstance(reply, Reply)]
    assert len(set(texts)) >= 3
