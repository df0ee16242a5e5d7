from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from builders import a_sample, present, synthetic_records
from learning import FULL, a_config, drawn_samples, experience, weights_of
from medical_team.config import GameConfig, RolloutConfig
from medical_team.demonstrations.draw import Demonstration, DemonstrationDraw
from medical_team.errors import UsageError
from medical_team.policy.chat import decode_reply
from medical_team.policy.policy import Policy
from medical_team.records import Role
from medical_team.rl.batch import microbatch_rows, padded_to, reply_mask, tokenized
from medical_team.rl.learner import ReinforceLearner
from medical_team.rl.protocols import Experience
from medical_team.samples import Update
from tensors import numbers

lengths = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 40)), min_size=1, max_size=30)


def samples_of(lengths_of_samples: list[tuple[int, int]]):
    return [
        a_sample(prompt_token_ids=(1,) * prompt, token_ids=(2,) * reply, log_probs=(-1.0,) * reply)
        for prompt, reply in lengths_of_samples
    ]


@given(lengths, st.integers(1, 400))
def test_every_row_is_in_one_micro_batch_within_the_token_budget(
    lengths_of_samples: list[tuple[int, int]], max_tokens: int
) -> None:
    samples = samples_of(lengths_of_samples)
    cut = list(microbatch_rows(samples, max_tokens))

    assert sorted(row for rows in cut for row in rows) == list(range(len(samples)))
    for rows in cut:
        width = max(lengths_of_samples[row][0] for row in rows) + max(lengths_of_samples[row][1] for row in rows)
        assert len(rows) == 1 or len(rows) * width <= max_tokens


@given(lengths)
def test_masks_and_padding(lengths_of_samples: list[tuple[int, int]]) -> None:
    samples = samples_of(lengths_of_samples)
    mask_NR = reply_mask(samples)

    assert numbers(mask_NR.sum(1)) == [reply for _, reply in lengths_of_samples]
    old_NR = padded_to(mask_NR, [sample.old_log_probs for sample in samples])
    assert torch.equal(old_NR, -mask_NR.float())


LONG_REPLIES = RolloutConfig(temperature=1.0, max_revision_tokens=2000, max_verdict_tokens=64)


def some_demonstrations(count: int = 6) -> tuple[Demonstration, ...]:
    draw = DemonstrationDraw(synthetic_records(), GameConfig(), seed=1, attacker_share=0.5)
    return tuple(draw.demonstrations(0, count))


def learnt_from_demonstrations(
    demonstrations: tuple[Demonstration, ...] | None = None, *, steps: int = 1, **training: Any
) -> tuple[Policy, list[Update]]:
    config = replace(a_config(FULL, **training), rollout=LONG_REPLIES)
    policy = Policy(config.policy, seed=0)
    learner = ReinforceLearner(policy, config)
    shown = Experience(3e-3, demonstrations=demonstrations or some_demonstrations())
    return policy, [learner.learn(shown, step) for step in range(steps)]


def test_a_demonstration_ends_with_the_end_and_reads_as_it_was_written() -> None:
    policy = Policy(FULL, seed=0)
    demonstration = Demonstration(Role.ASSESSOR, "record", "Is it Safe?", "<answer>", "Harmful</answer>")
    config = replace(a_config(FULL), rollout=RolloutConfig(max_verdict_tokens=32))
    encoded = tokenized(demonstration, policy, config)
    assert encoded.token_ids[-1] == policy.tokenizer.eos_token_id
    assert decode_reply(policy.tokenizer, encoded.token_ids, policy.eos_token_ids) == "Harmful</answer>"


def test_a_reply_beyond_the_limit_names_the_option() -> None:
    policy = Policy(FULL, seed=0)
    demonstration = Demonstration(Role.ASSESSOR, "record", "Is it Safe?", "", "Harmful " * 20)
    with pytest.raises(UsageError, match=r"record record has 160 tokens.*rollout\.max_verdict_tokens.*at least 161"):
        tokenized(demonstration, policy, a_config(FULL))


def test_the_loss_falls() -> None:
    _, updates = learnt_from_demonstrations(steps=8)
    assert present(updates[-1].demonstration_loss) < 0.9 * present(updates[0].demonstration_loss)
    assert (updates[0].demonstrations, updates[0].samples) == (6, 0)


def test_what_is_learnt_does_not_depend_on_micro_batches() -> None:
    whole, _ = learnt_from_demonstrations(tokens_per_microbatch=10**6)
    cut, _ = learnt_from_demonstrations(tokens_per_microbatch=1)
    for name, weights in weights_of(whole).items():
        torch.testing.assert_close(weights_of(cut)[name], weights, rtol=0, atol=1e-5)


def test_a_verdict_weighs_as_much_as_a_long_revision() -> None:
    long = Demonstration(Role.ATTACKER, "long", "Rewrite.", "", "fever and cough " * 4)
    short = Demonstration(Role.ASSESSOR, "short", "Judge.", "", "S")
    losses = [
        present(learnt_from_demonstrations(group)[1][0].demonstration_loss)
        for group in ((long,), (short,), (long, short))
    ]
    assert losses[2] == pytest.approx((losses[0] + losses[1]) / 2, rel=1e-5)


def test_demonstrations_mixed_into_self_play_change_the_update_by_their_weight() -> None:
    def updated(coefficient: float) -> tuple[float | None, dict[str, torch.Tensor]]:
        config = replace(a_config(FULL), rollout=LONG_REPLIES)
        policy = Policy(config.policy, seed=0)
        demonstrations = some_demonstrations() if coefficient else ()
        learnt_from = experience(
            drawn_samples(policy), demonstrations=demonstrations, demonstration_coefficient=coefficient
        )
        update = ReinforceLearner(policy, config).learn(learnt_from, 0)
        return update.demonstration_loss, weights_of(policy)

    (none, without), (loss, mixed) = updated(0.0), updated(1.0)
    assert none is None
    assert loss is not None
    assert loss > 1.0
    assert any(not torch.equal(without[name], mixed[name]) for name in without)
