import math

import pytest
import torch

from medical_team.rl.reinforce import clipped_token_losses, token_weights

MASK_NR = torch.tensor([[True, True, True], [True, False, False]])


def test_token_mean_weighs_all_tokens_alike():
    assert token_weights(MASK_NR, "token-mean").tolist() == [[0.25, 0.25, 0.25], [0.25, 0.0, 0.0]]


def test_the_papers_mean_weighs_all_samples_alike():
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
def test_the_clipped_surrogate_against_numbers_worked_out_by_hand(ratio, advantage, expected_loss, is_clipped):
    old = torch.tensor([-1.0])
    new = old + math.log(ratio)

    losses, clipped = clipped_token_losses(new, old, torch.tensor([advantage]), 0.2)

    torch.testing.assert_close(losses, torch.tensor([expected_loss]))
    assert clipped.tolist() == [is_clipped]


def test_an_outlier_does_not_overflow():
    losses, _ = clipped_token_losses(torch.tensor([0.0]), torch.tensor([-1e5]), torch.tensor([-1.0]), 0.2)

    assert torch.isfinite(losses).all()
