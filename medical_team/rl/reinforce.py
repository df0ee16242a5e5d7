"""REINFORCE++ (Hu et al., arXiv 2501.03262): advantages, then the clipped policy loss.

Advantages are KL-penalised returns, whitened over action tokens. The loss is a weighted sum over tokens, so that it
doesn't depend on how a batch is cut.

N: samples; R: columns of the longest reply. Masks are True at action tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..config import AdvantageNormalization, LossAveraging
from ..records import Role

VARIANCE_FLOOR = 1e-8


@dataclass(frozen=True)
class Advantages:
    """Advantages of every action token, and the roles that were left out because they carry no signal."""

    values_NR: torch.Tensor
    """0 at padding and in the rows of ``zero_variance_roles``."""
    zero_variance_roles: tuple[Role, ...]


def kl_estimates(old_NR: torch.Tensor, reference_NR: torch.Tensor, mask_NR: torch.Tensor) -> torch.Tensor:
    """The k1 estimate of KL(old policy || reference) at each action token: log pi_old - log pi_ref; 0 at padding."""
    return torch.where(mask_NR, old_NR - reference_NR, 0.0)


def penalised_returns(
    rewards_N: torch.Tensor, kl_NR: torch.Tensor, mask_NR: torch.Tensor, kl_coefficient: float
) -> torch.Tensor:
    """A_t = r - beta * sum over i >= t of KL(i): the reward at the last action token, discount 1; 0 at padding."""
    kl_to_go_NR = kl_NR.flip(1).cumsum(1).flip(1)
    return torch.where(mask_NR, rewards_N[:, None] - kl_coefficient * kl_to_go_NR, 0.0)


def masked_whiten(values_NR: torch.Tensor, mask_NR: torch.Tensor) -> torch.Tensor:
    """(A - mean) / std over the tokens of ``mask_NR``, the variance floored at 1e-8; 0 elsewhere."""
    count = mask_NR.sum()
    mean = (values_NR * mask_NR).sum() / count
    variance = (((values_NR - mean) ** 2) * mask_NR).sum() / count
    return torch.where(mask_NR, (values_NR - mean) * variance.clamp(min=VARIANCE_FLOOR).rsqrt(), 0.0)


def reinforce_advantages(
    rewards_N: torch.Tensor,
    kl_NR: torch.Tensor,
    mask_NR: torch.Tensor,
    roles: Sequence[Role],
    *,
    kl_coefficient: float,
    normalization: AdvantageNormalization,
) -> Advantages:
    """Advantages of a batch, normalised over the whole of it or over each role.

    Normalising by role skips a role whose rewards are all equal: the variance that is left is the KL term's noise,
    which normalisation would blow up to unit size. Normalising by batch stays as OpenRLHF has it.
    """
    returns_NR = penalised_returns(rewards_N, kl_NR, mask_NR, kl_coefficient)
    if normalization == "batch":
        return Advantages(masked_whiten(returns_NR, mask_NR), zero_variance_roles=())
    values_NR = torch.zeros_like(returns_NR)
    zero_variance_roles: list[Role] = []
    for role in Role:
        is_role_N = torch.tensor([row_role is role for row_role in roles])
        if not is_role_N.any():
            continue
        if bool((rewards_N[is_role_N] == rewards_N[is_role_N][0]).all()):
            zero_variance_roles.append(role)
            continue
        role_mask_NR = mask_NR & is_role_N[:, None]
        values_NR += masked_whiten(returns_NR, role_mask_NR)
    return Advantages(values_NR, tuple(zero_variance_roles))


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
