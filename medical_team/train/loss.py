"""The clipped policy loss, as a weighted sum over tokens, so that it doesn't depend on how a batch is cut."""

from __future__ import annotations

import torch

from ..config import LossAveraging


def token_weights(mask_NR: torch.Tensor, averaging: LossAveraging) -> torch.Tensor:
    """The weight of each action token in the mean loss of the batch; they sum to 1, and are 0 at padding.

    ``token-mean`` weighs all tokens alike (OpenRLHF's default); ``seq-mean-token-mean`` all samples alike, and the
    tokens of a sample alike (the paper's).
    """
    if averaging == "token-mean":
        return mask_NR / mask_NR.sum()
    return mask_NR / mask_NR.sum(dim=1, keepdim=True) / mask_NR.shape[0]


def clipped_token_losses(
    new_log_probs: torch.Tensor, old_log_probs: torch.Tensor, advantages: torch.Tensor, clip_epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's clipped surrogate, -min(ratio * A, clip(ratio) * A), for each token, and where the clip was in force."""
    # Bounded as in OpenRLHF, so that neither an outlier nor what stands at padding overflows.
    ratio = (new_log_probs - old_log_probs).clamp(-20.0, 20.0).exp()
    unclipped = ratio * advantages
    clipped = ratio.clamp(1 - clip_epsilon, 1 + clip_epsilon) * advantages
    return -torch.minimum(unclipped, clipped), clipped < unclipped
