import math
from dataclasses import replace

import pytest
import torch

from learning import LORA, a_config, drawn_samples, experience
from medical_team.config import RolloutConfig
from medical_team.metrics.alarms import alarms
from medical_team.metrics.step_metrics import step_metrics
from medical_team.policy.policy import Policy
from medical_team.records import Sample
from medical_team.rl.learner import ReinforceLearner
from medical_team.rl.mismatch import EXACT_BOUND, measured_mismatch, truncated_weights

MASK_NR = torch.tensor([[True, True, True], [True, False, False]])
ENGINE_NR = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, 0.0, 0.0]])


def shifted(sample: Sample, by: float) -> Sample:
    """The sample as an engine would give it that thinks its tokens likelier by ``by`` nats."""
    log_probs = tuple(value + by for value in sample.old_log_probs)
    return replace(sample, turn=replace(sample.turn, log_probs=log_probs))


def learnt(rollout: RolloutConfig, by: float = 0.0):
    policy = Policy(LORA, seed=1)
    samples = [shifted(sample, by) for sample in drawn_samples(policy)]
    config = replace(a_config(), rollout=replace(rollout, temperature=1.0))
    return ReinforceLearner(policy, config).learn(experience(samples), 0)


def test_the_same_log_probs_have_no_mismatch():
    found = measured_mismatch(ENGINE_NR, ENGINE_NR, MASK_NR, is_exact=True)

    assert (found.largest, found.mean, found.kl, found.truncated_share) == (0.0, 0.0, 0.0, None)


def test_padding_does_not_count():
    learner_NR = ENGINE_NR + torch.tensor([[0.1, 0.0, 0.0], [-0.3, 9.0, 9.0]])
    found = measured_mismatch(ENGINE_NR, learner_NR, MASK_NR, is_exact=True)

    assert found.largest == pytest.approx(0.3)
    assert found.mean == pytest.approx(0.1)
    assert found.kl == pytest.approx((math.exp(0.1) - 1.1 + math.exp(-0.3) - 0.7) / 4)


def test_weights_are_ratios_up_to_two_and_carry_no_gradient():
    learner_NR = (ENGINE_NR + torch.tensor([[0.1, -0.5, 3.0], [0.0, 0.0, 0.0]])).requires_grad_()
    weights_NR = truncated_weights(ENGINE_NR, learner_NR)

    assert not weights_NR.requires_grad
    expected = torch.tensor([[math.exp(0.1), math.exp(-0.5), 2.0], [1.0, 1.0, 1.0]])
    torch.testing.assert_close(weights_NR, expected)
    found = measured_mismatch(ENGINE_NR, learner_NR.detach(), MASK_NR, is_exact=False, weights_NR=weights_NR)
    assert found.truncated_share == 0.25


def test_the_built_in_engine_in_fp32_is_taken_at_its_word():
    assert learnt(RolloutConfig(engine="transformers")).mismatch is None


def test_another_engine_is_measured_and_the_ratio_is_the_learners_own():
    exact = learnt(RolloutConfig(engine="vllm", correction="none"))
    off = learnt(RolloutConfig(engine="vllm", correction="none"), by=1.0)

    assert exact.mismatch is not None
    assert exact.mismatch.mean < EXACT_BOUND
    assert off.mismatch is not None
    assert off.mismatch.mean == pytest.approx(1.0, abs=1e-3)
    # What the engine says changes neither ratio nor advantage.
    assert off.loss == pytest.approx(exact.loss)
    assert off.clip_fraction == exact.clip_fraction == 0.0


def test_a_correction_weighs_the_loss():
    plain = learnt(RolloutConfig(engine="vllm", correction="none"), by=1.0)
    corrected = learnt(RolloutConfig(engine="vllm", correction="truncated"), by=1.0)

    # Every token is e times less likely to the learner; whitened advantages leave a loss of nearly 0.
    assert corrected.gradient_norm == pytest.approx(plain.gradient_norm * math.exp(-1.0), rel=1e-3)
    assert corrected.mismatch is not None
    assert corrected.mismatch.truncated_share == 0.0


def test_what_rounding_does_not_explain_raises_an_alarm():
    def told(by: float) -> dict[str, str]:
        update = learnt(RolloutConfig(engine="vllm", correction="none"), by=by)
        metrics = {**step_metrics([], update, {}), "rollout/mismatch_mean": 0.0, "rollout/mismatch_bound": 0.0}
        assert update.mismatch is not None
        metrics |= {"rollout/mismatch_mean": update.mismatch.mean, "rollout/mismatch_bound": update.mismatch.bound}
        return alarms([metrics])

    assert "mismatch" not in told(0.0)
    assert "rollout.engine" in told(0.02)["mismatch"]
