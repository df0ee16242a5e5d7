from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medical_team.config import AdvantageNormalization
from medical_team.records import Role
from medical_team.rl.reinforce import (
    clipped_token_losses,
    kl_estimates,
    masked_whiten,
    penalised_returns,
    reinforce_advantages,
    token_weights,
)
from tensors import numbers

ATTACKER, ASSESSOR = Role.ATTACKER, Role.ASSESSOR

# Two samples: one of three action tokens, one of a single token (and two columns of padding).
MASK_NR = torch.tensor([[True, True, True], [True, False, False]])
OLD_NR = torch.tensor([[-1.0, -2.0, -0.5], [-0.25, 9.0, 9.0]])
REFERENCE_NR = torch.tensor([[-1.5, -1.0, -0.5], [-0.75, 7.0, 7.0]])


def test_kl_is_the_k1_estimate_and_nothing_at_padding() -> None:
    kl_NR = kl_estimates(OLD_NR, REFERENCE_NR, MASK_NR)

    assert numbers(kl_NR) == [[0.5, -1.0, 0.0], [0.5, 0.0, 0.0]]


def test_the_penalty_of_a_token_is_the_kl_from_it_to_the_end() -> None:
    kl_NR = kl_estimates(OLD_NR, REFERENCE_NR, MASK_NR)

    returns_NR = penalised_returns(torch.tensor([1.0, -1.0]), kl_NR, MASK_NR, kl_coefficient=0.1)

    # 1 - 0.1 * (0.5 - 1.0 + 0.0), 1 - 0.1 * (-1.0 + 0.0), 1 - 0.1 * 0.0; -1 - 0.1 * 0.5
    torch.testing.assert_close(returns_NR, torch.tensor([[1.05, 1.10, 1.0], [-1.05, 0.0, 0.0]]))


def test_batch_normalisation_against_numbers_worked_out_by_hand() -> None:
    kl_NR = kl_estimates(OLD_NR, REFERENCE_NR, MASK_NR)

    advantages = reinforce_advantages(
        torch.tensor([1.0, -1.0]), kl_NR, MASK_NR, [ATTACKER, ASSESSOR], kl_coefficient=0.1, normalization="batch"
    )

    # Over the four tokens 1.05, 1.10, 1.00, -1.05: mean 0.525, variance 0.828125.
    deviation = math.sqrt(0.828125)
    expected_NR = torch.tensor(
        [[0.525 / deviation, 0.575 / deviation, 0.475 / deviation], [-1.575 / deviation, 0.0, 0.0]]
    )
    torch.testing.assert_close(advantages.values_NR, expected_NR)
    assert advantages.zero_variance_roles == ()


def test_role_normalisation_takes_each_role_by_itself() -> None:
    mask_NR = torch.ones(4, 1, dtype=torch.bool)
    rewards_N = torch.tensor([1.0, 0.0, 10.0, 20.0])

    advantages = reinforce_advantages(
        rewards_N,
        torch.zeros(4, 1),
        mask_NR,
        [ATTACKER, ATTACKER, ASSESSOR, ASSESSOR],
        kl_coefficient=0.01,
        normalization="role",
    )

    torch.testing.assert_close(advantages.values_NR[:, 0], torch.tensor([1.0, -1.0, -1.0, 1.0]))


def test_a_role_whose_rewards_are_all_equal_is_skipped_and_named() -> None:
    mask_NR = torch.ones(4, 2, dtype=torch.bool)
    noise_NR = torch.tensor([[0.1, 0.2], [0.0, -0.1], [0.3, 0.1], [0.0, 0.05]])

    advantages = reinforce_advantages(
        torch.tensor([-1.0, -1.0, 1.0, -1.0]),
        noise_NR,
        mask_NR,
        [ATTACKER, ATTACKER, ASSESSOR, ASSESSOR],
        kl_coefficient=0.01,
        normalization="role",
    )

    assert advantages.zero_variance_roles == (ATTACKER,)
    assert not advantages.values_NR[:2].any()
    assert advantages.values_NR[2:].all()


def test_batch_normalisation_blows_up_the_noise_of_a_flat_batch_as_upstream_does() -> None:
    noise_NR = torch.tensor([[0.1, 0.2], [0.0, -0.1]])

    advantages = reinforce_advantages(
        torch.tensor([1.0, 1.0]),
        noise_NR,
        torch.ones(2, 2, dtype=torch.bool),
        [ATTACKER, ASSESSOR],
        kl_coefficient=0.01,
        normalization="batch",
    )

    assert advantages.values_NR.std() > 0.5


def test_a_batch_of_one_token_has_no_advantage() -> None:
    assert masked_whiten(torch.tensor([[3.0]]), torch.tensor([[True]])).item() == 0.0


@given(
    rewards=st.lists(st.floats(-3, 3), min_size=2, max_size=8),
    lengths=st.lists(st.integers(1, 5), min_size=8, max_size=8),
    normalization=st.sampled_from(["role", "batch"]),
)
def test_advantages_are_finite_and_centred_over_tokens(
    rewards: list[float], lengths: list[int], normalization: AdvantageNormalization
) -> None:
    mask_NR = torch.arange(5) < torch.tensor(lengths[: len(rewards)])[:, None]
    roles = [ATTACKER if row % 2 else ASSESSOR for row in range(len(rewards))]

    advantages = reinforce_advantages(
        torch.tensor(rewards),
        torch.zeros(mask_NR.shape),
        mask_NR,
        roles,
        kl_coefficient=0.0,
        normalization=normalization,
    )

    assert torch.isfinite(advantages.values_NR).all()
    assert not advantages.values_NR[~mask_NR].any()
    assert abs(advantages.values_NR[mask_NR].mean().item()) < 1e-2


@pytest.mark.parametrize("normalization", ["role", "batch"])
def test_what_stands_at_padding_changes_nothing(normalization: AdvantageNormalization) -> None:
    def advantages(at_padding: float) -> torch.Tensor:
        old_NR = torch.where(MASK_NR, OLD_NR, at_padding)
        kl_NR = kl_estimates(old_NR, REFERENCE_NR, MASK_NR)
        rewards_N = torch.tensor([1.0, -1.0])
        return reinforce_advantages(
            rewards_N, kl_NR, MASK_NR, [ATTACKER, ATTACKER], kl_coefficient=0.1, normalization=normalization
        ).values_NR

    torch.testing.assert_close(advantages(0.0), advantages(1e6))


def test_token_mean_weighs_all_tokens_alike() -> None:
    assert numbers(token_weights(MASK_NR, "token-mean")) == [[0.25, 0.25, 0.25], [0.25, 0.0, 0.0]]


def test_the_papers_mean_weighs_all_samples_alike() -> None:
    sixth = 1 / 6
    torch.testing.assert_close(
        token_weights(MASK_NR, "seq-mean-token-mean"), torch.tensor([[sixth, sixth, sixth], [0.5, 0.0, 0.0]])
    )


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected_loss", "is_clipped"),
    [
        (1.0, 2.0, -2.0, False),
        (1.5, 1.0, -1.2, True),  # no reward for going beyond 1 + epsilon
        (0.5, 1.0, -0.5, False),
        (1.5, -1.0, 1.5, False),  # a bad action that became likelier is punished in full
        (0.5, -1.0, 0.8, True),
        (0.9, 0.0, 0.0, False),
    ],
)
def test_the_clipped_surrogate_against_numbers_worked_out_by_hand(
    ratio: float, advantage: float, expected_loss: float, is_clipped: bool
) -> None:
    old = torch.tensor([-1.0])
    new = old + math.log(ratio)

    losses, clipped = clipped_token_losses(new, old, torch.tensor([advantage]), 0.2)

    torch.testing.assert_close(losses, torch.tensor([expected_loss]))
    assert numbers(clipped) == [is_clipped]


def test_an_outlier_does_not_overflow() -> None:
    losses, _ = clipped_token_losses(torch.tensor([0.0]), torch.tensor([-1e5]), torch.tensor([-1.0]), 0.2)

    assert torch.isfinite(losses).all()
