"""Mistakes that leave an old policy in the engine, each of which the measured mismatch must catch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from vllm_cases import CONFIG, learn_a_little, make_policy, requests_for, save_model

from learning import sample_of
from medical_team.config import RunConfig
from medical_team.game.rollout import Reply, RolloutRequest
from medical_team.policy import vllm_rollout
from medical_team.policy.policy import Policy
from medical_team.policy.vllm_engine import VllmEngine
from medical_team.policy.vllm_rollout import VllmRollout, merged_weights
from medical_team.rl.batch import padded_to, reply_mask
from medical_team.rl.learner import EXACT_BOUND, ReinforceLearner, measured_mismatch
from needs import VLLM
from stand_ins import always

VLLM.module("vllm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return save_model(tmp_path_factory.mktemp("model"))


def mean_mismatch(policy: Policy, rollout: VllmRollout, requests: Sequence[RolloutRequest] | None = None) -> float:
    replies = rollout.generate(requests or requests_for(8))
    samples = [sample_of(reply) for reply in replies if isinstance(reply, Reply)]
    mask_NR = reply_mask(samples)
    engine_NR = padded_to(mask_NR, [sample.old_log_probs for sample in samples])
    learner_NR = ReinforceLearner(policy, RunConfig(rollout=CONFIG)).log_probs(samples)
    return measured_mismatch(engine_NR, learner_NR, mask_NR, is_exact=True).mean


def test_a_head_that_is_forgotten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy(folder, "full")
    rollout = VllmRollout(policy, CONFIG)
    try:
        learn_a_little(policy, 1, by=0.005)
        rollout.follow()
        assert mean_mismatch(policy, rollout) < EXACT_BOUND

        def without_head(*arguments: Any):
            return [each for each in merged_weights(*arguments) if each[0] != "lm_head.weight"]

        monkeypatch.setattr(vllm_rollout, "merged_weights", without_head)
        learn_a_little(policy, 2, by=0.005)
        rollout.follow()
        assert mean_mismatch(policy, rollout) > EXACT_BOUND
    finally:
        rollout.close()


def test_a_prefix_cache_that_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than a block of the cache, which on a CPU has 128 tokens.
    requests = [replace(each, prompt="The patient takes it twice a day. " * 6) for each in requests_for(8)]
    policy = make_policy(folder, "full")
    rollout = VllmRollout(policy, CONFIG)
    try:
        assert mean_mismatch(policy, rollout, requests) < EXACT_BOUND
        monkeypatch.setattr(VllmEngine, "forget", always(None))
        learn_a_little(policy, 1, by=0.005)
        rollout.follow()
        assert mean_mismatch(policy, rollout, requests) > EXACT_BOUND
    finally:
        rollout.close()


def test_an_adapter_that_is_served_after_it_was_replaced(folder: Path) -> None:
    policy = make_policy(folder)
    rollout = VllmRollout(policy, CONFIG, serves_adapters=True)
    try:
        learn_a_little(policy, 1)
        rollout.follow()
        assert mean_mismatch(policy, rollout) < EXACT_BOUND
        learn_a_little(policy, 2)
        assert mean_mismatch(policy, rollout) > EXACT_BOUND
        rollout.follow()
        assert mean_mismatch(policy, rollout) < EXACT_BOUND
    finally:
        rollout.close()
