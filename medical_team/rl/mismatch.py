"""The engine that draws replies and the learner round differently, and may even hold different weights.

What is drawn from one policy and learnt by another biases the gradient. So the difference is measured at every step,
and each token's loss can be weighed by how much likelier the learner finds the token than the engine did: importance
sampling, truncated so that a rare token can't outweigh the batch (as in Yao et al., "Your efficient RL framework
secretly brings you off-policy RL training").
"""

from __future__ import annotations

import torch

from ..records import Mismatch

TRUNCATION = 2.0
"""The largest weight of a token."""

EXACT_BOUND = 1e-3
"""Mean difference, nats, that fp32 on both sides never reaches: 1e-5 is usual. An output layer that keeps its old
weights, or a cache of the old policy's keys, exceeds it after a few updates."""

ROUNDED_BOUND = 0.05
"""The same where either side computes in bf16: 0.01 is usual."""


def measured_mismatch(
    engine_NR: torch.Tensor,
    learner_NR: torch.Tensor,
    mask_NR: torch.Tensor,
    *,
    is_exact: bool,
    weights_NR: torch.Tensor | None = None,
) -> Mismatch:
    """How far the engine's log-probs are from the learner's.

    Args:
        mask_NR: True at action tokens; there is at least one.
        is_exact: both sides compute in fp32.
        weights_NR: the weights in force, of :func:`truncated_weights`.
    """
    log_ratios = (learner_NR - engine_NR)[mask_NR].double()
    differences = log_ratios.abs()
    truncated = None if weights_NR is None else float((weights_NR[mask_NR] >= TRUNCATION).double().mean())
    return Mismatch(
        largest=float(differences.max()),
        mean=float(differences.mean()),
        kl=float((log_ratios.exp() - 1 - log_ratios).mean()),
        bound=EXACT_BOUND if is_exact else ROUNDED_BOUND,
        truncated_share=truncated,
    )


def truncated_weights(engine_NR: torch.Tensor, learner_NR: torch.Tensor) -> torch.Tensor:
    """The weight of each token's loss, min(pi_learner / pi_engine, 2), without a gradient; 1 at padding."""
    return (learner_NR - engine_NR).detach().exp().clamp(max=TRUNCATION)
