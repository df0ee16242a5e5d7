from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from learning import FULL, LORA, a_config, drawn_samples, experience, weights_of
from medical_team.config import PolicyConfig, RolloutConfig, RunConfig
from medical_team.errors import PolicyError, TrainingError
from medical_team.game.rollout import REFERENCE
from medical_team.metrics.alarms import alarms
from medical_team.metrics.step_metrics import step_metrics
from medical_team.policy.policy import Policy
from medical_team.records import Role
from medical_team.rl.learner import EXACT_BOUND, ReinforceLearner, measured_mismatch, truncated_weights
from medical_team.runs.checkpoints import POLICY_FOLDER, optimizer_file
from medical_team.samples import Sample


def learnt(config: RunConfig, samples: list[Sample] | None = None, *, steps: int = 1):
    policy = Policy(config.policy, seed=config.training.seed)
    learner = ReinforceLearner(policy, config)
    samples = samples if samples is not None else drawn_samples(policy)
    learnt_from = experience(samples, learning_rate=config.learning_rate)
    updates = [learner.learn(learnt_from, step) for step in range(steps)]
    return policy, updates


@pytest.mark.parametrize("policy_config", [LORA, FULL], ids=["lora", "full"])
def test_rewarded_replies_become_likelier_and_punished_ones_less_likely(policy_config: PolicyConfig) -> None:
    config = a_config(policy_config, kl_coefficient=0.0)
    policy = Policy(policy_config, seed=0)
    samples = drawn_samples(policy)
    learner = ReinforceLearner(policy, config)
    before_N = learner.log_probs(samples).sum(1)

    for step in range(10):
        learner.learn(experience(samples), step)

    change_N = learner.log_probs(samples).sum(1) - before_N
    is_rewarded_N = torch.tensor([sample.reward.total > 0 for sample in samples])
    assert change_N[is_rewarded_N].mean() > 0 > change_N[~is_rewarded_N].mean()


@pytest.mark.parametrize("policy_config", [LORA, FULL], ids=["lora", "full"])
def test_kl_is_zero_at_first_and_the_reference_never_moves(policy_config: PolicyConfig) -> None:
    config = a_config(policy_config, learning_rate=1e-2)
    policy = Policy(policy_config, seed=0)
    learner = ReinforceLearner(policy, config)
    samples = drawn_samples(policy)
    reference_NR = learner.log_probs(samples, REFERENCE)

    updates = [learner.learn(experience(samples), step) for step in range(3)]

    assert abs(updates[0].kl) < 1e-5
    torch.testing.assert_close(learner.log_probs(samples, REFERENCE), reference_NR, rtol=0, atol=1e-6)
    assert not torch.allclose(learner.log_probs(samples), reference_NR, atol=1e-3)


@pytest.mark.parametrize("loss_averaging", ["token-mean", "seq-mean-token-mean"])
def test_gradients_do_not_depend_on_how_micro_batches_are_cut(loss_averaging: str) -> None:
    whole, (whole_update,) = learnt(a_config(tokens_per_microbatch=100_000, loss_averaging=loss_averaging))
    single, (single_update,) = learnt(a_config(tokens_per_microbatch=1, loss_averaging=loss_averaging))

    assert single_update.loss == pytest.approx(whole_update.loss, abs=1e-6)
    assert single_update.gradient_norm == pytest.approx(whole_update.gradient_norm, rel=1e-4)
    for (name, cut), (_, uncut) in zip(single.trainable_parameters(), whole.trainable_parameters(), strict=True):
        torch.testing.assert_close(cut.grad, uncut.grad, rtol=1e-3, atol=1e-7, msg=name)


def test_gradient_checkpointing_changes_memory_alone() -> None:
    plain, (plain_update,) = learnt(a_config())
    checkpointed, (checkpointed_update,) = learnt(a_config(replace(LORA, gradient_checkpointing=True)))

    assert checkpointed_update.gradient_norm == pytest.approx(plain_update.gradient_norm, rel=1e-5)
    for name, weights in weights_of(plain).items():
        torch.testing.assert_close(weights_of(checkpointed)[name], weights, rtol=1e-4, atol=1e-6, msg=name)


def test_the_same_seed_gives_the_same_weights() -> None:
    config = a_config(minibatches_per_step=2, epochs_per_step=2)
    first, first_updates = learnt(config, steps=3)
    second, second_updates = learnt(config, steps=3)

    assert first_updates == second_updates
    assert all(torch.equal(weights, weights_of(second)[name]) for name, weights in weights_of(first).items())


def test_a_batch_of_one_update_has_ratio_one_and_nothing_to_clip() -> None:
    _, (update,) = learnt(a_config())

    # With every ratio 1 the loss is minus the mean advantage, which normalisation makes 0 for each role.
    assert update.loss == pytest.approx(0.0, abs=1e-4)
    assert update.clip_fraction == 0.0
    assert update.gradient_norm > 0
    assert update.entropy > 0


def test_later_minibatches_meet_the_clip() -> None:
    _, (update,) = learnt(a_config(learning_rate=0.05, epochs_per_step=4))

    assert update.clip_fraction > 0


def test_a_role_without_signal_is_skipped_and_named() -> None:
    policy = Policy(LORA, seed=0)
    samples = [
        replace(sample, reward=replace(sample.reward, total=1.0)) if sample.role is Role.ATTACKER else sample
        for sample in drawn_samples(policy)
    ]
    attackers_alone = [sample for sample in samples if sample.role is Role.ATTACKER]
    before = weights_of(policy)

    update = ReinforceLearner(policy, a_config()).learn(experience(attackers_alone), 0)

    assert update.zero_variance_roles == (Role.ATTACKER,)
    assert all(torch.equal(before[name], weights) for name, weights in weights_of(policy).items())
    assert ReinforceLearner(policy, a_config()).learn(experience(samples), 0).zero_variance_roles == (Role.ATTACKER,)


def test_a_step_without_samples_changes_nothing() -> None:
    policy, (update,) = learnt(a_config(), samples=[])

    assert update.samples == update.action_tokens == 0
    assert all(
        torch.equal(weights, weights_of(policy)[name]) for name, weights in weights_of(Policy(LORA, seed=42)).items()
    )


def test_a_kl_that_is_not_finite_is_told_before_anything_is_learnt() -> None:
    policy = Policy(FULL, seed=0)
    samples = drawn_samples(policy)
    _, parameter = next(iter(policy.trainable_parameters()))
    with torch.no_grad():
        parameter.fill_(float("inf"))
    # Drawn by another engine, what was said has log-probs of the learner's own.
    config = replace(a_config(FULL), rollout=RolloutConfig(temperature=1.0, correction="truncated"))

    with pytest.raises(TrainingError, match=r"step 3: the KL of 8 of 8 samples is nan.*lower training.learning_rate"):
        ReinforceLearner(policy, config).learn(experience(samples), 3)

    assert bool(torch.isposinf(parameter).all())


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_weights_change() -> None:
    policy = Policy(LORA, seed=0)
    samples = drawn_samples(policy)
    broken = replace(samples[0], reward=replace(samples[0].reward, total=float("nan")))
    before = weights_of(policy)

    with pytest.raises(TrainingError, match=r"training.learning_rate"):
        ReinforceLearner(policy, a_config()).learn(experience([broken, *samples[1:]]), 0)

    assert all(torch.equal(before[name], weights) for name, weights in weights_of(policy).items())


MASK_NR = torch.tensor([[True, True, True], [True, False, False]])
ENGINE_NR = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, 0.0, 0.0]])


def shifted(sample: Sample, by: float) -> Sample:
    """The sample as an engine would give it that thinks its tokens likelier by ``by`` nats."""
    log_probs = tuple(value + by for value in sample.old_log_probs)
    return replace(sample, turn=replace(sample.turn, log_probs=log_probs))


def learnt_with(rollout: RolloutConfig, by: float = 0.0):
    policy = Policy(LORA, seed=1)
    samples = [shifted(sample, by) for sample in drawn_samples(policy)]
    config = replace(a_config(), rollout=replace(rollout, temperature=1.0))
    return ReinforceLearner(policy, config).learn(experience(samples), 0)


def test_the_same_log_probs_have_no_mismatch() -> None:
    found = measured_mismatch(ENGINE_NR, ENGINE_NR, MASK_NR, is_exact=True)

    assert (found.largest, found.mean, found.kl, found.truncated_share) == (0.0, 0.0, 0.0, None)


def test_padding_does_not_count() -> None:
    learner_NR = ENGINE_NR + torch.tensor([[0.1, 0.0, 0.0], [-0.3, 9.0, 9.0]])
    found = measured_mismatch(ENGINE_NR, learner_NR, MASK_NR, is_exact=True)

    assert found.largest == pytest.approx(0.3)
    assert found.mean == pytest.approx(0.1)
    assert found.kl == pytest.approx((math.exp(0.1) - 1.1 + math.exp(-0.3) - 0.7) / 4)


def test_weights_are_ratios_up_to_two_and_carry_no_gradient() -> None:
    learner_NR = (ENGINE_NR + torch.tensor([[0.1, -0.5, 3.0], [0.0, 0.0, 0.0]])).requires_grad_()
    weights_NR = truncated_weights(ENGINE_NR, learner_NR)

    assert not weights_NR.requires_grad
    expected = torch.tensor([[math.exp(0.1), math.exp(-0.5), 2.0], [1.0, 1.0, 1.0]])
    torch.testing.assert_close(weights_NR, expected)
    found = measured_mismatch(ENGINE_NR, learner_NR.detach(), MASK_NR, is_exact=False, weights_NR=weights_NR)
    assert found.truncated_share == 0.25


def test_the_built_in_engine_in_fp32_is_taken_at_its_word() -> None:
    assert learnt_with(RolloutConfig(engine="transformers")).mismatch is None


def test_another_engine_is_measured_and_the_ratio_is_the_learners_own() -> None:
    exact = learnt_with(RolloutConfig(engine="vllm", correction="none"))
    off = learnt_with(RolloutConfig(engine="vllm", correction="none"), by=1.0)

    assert exact.mismatch is not None
    assert exact.mismatch.mean < EXACT_BOUND
    assert off.mismatch is not None
    assert off.mismatch.mean == pytest.approx(1.0, abs=1e-3)
    # What the engine says changes neither ratio nor advantage.
    assert off.loss == pytest.approx(exact.loss)
    assert off.clip_fraction == exact.clip_fraction == 0.0


def test_a_correction_weighs_the_loss() -> None:
    plain = learnt_with(RolloutConfig(engine="vllm", correction="none"), by=1.0)
    corrected = learnt_with(RolloutConfig(engine="vllm", correction="truncated"), by=1.0)

    # Every token is e times less likely to the learner; whitened advantages leave a loss of nearly 0.
    assert corrected.gradient_norm == pytest.approx(plain.gradient_norm * math.exp(-1.0), rel=1e-3)
    assert corrected.mismatch is not None
    assert corrected.mismatch.truncated_share == 0.0


def test_what_rounding_does_not_explain_raises_an_alarm() -> None:
    def told(by: float) -> dict[str, str]:
        update = learnt_with(RolloutConfig(engine="vllm", correction="none"), by=by)
        metrics = {**step_metrics([], update, {}), "rollout/mismatch_mean": 0.0, "rollout/mismatch_bound": 0.0}
        assert update.mismatch is not None
        metrics |= {"rollout/mismatch_mean": update.mismatch.mean, "rollout/mismatch_bound": update.mismatch.bound}
        return alarms([metrics])

    assert "mismatch" not in told(0.0)
    assert "rollout.engine" in told(0.02)["mismatch"]


@pytest.fixture
def learner() -> ReinforceLearner:
    policy = Policy(LORA, seed=1)
    learner = ReinforceLearner(policy, a_config())
    learner.learn(experience(drawn_samples(policy, 4)), 0)
    return learner


@pytest.mark.parametrize("bytes_left", [0, 4, 100])
@pytest.mark.parametrize(
    ("file", "error", "message"),
    [
        (optimizer_file(), TrainingError, "can't read the optimizer's state in .*optimizer"),
        (f"{POLICY_FOLDER}/adapter_model.safetensors", PolicyError, "can't read the weights in .*adapter_model"),
    ],
)
def test_a_file_that_was_cut_off_is_named(
    learner: ReinforceLearner, tmp_path: Path, bytes_left: int, file: str, error: type[Exception], message: str
) -> None:
    learner.save(tmp_path)
    os.truncate(tmp_path / file, bytes_left)

    with pytest.raises(error, match=message):
        learner.restore(tmp_path)
