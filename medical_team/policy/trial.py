"""Trying a model with a few tokens: whether two ways to read the same text give the same logits."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import torch

from .forward_pass import ForwardPass
from .transformers_inside import base_model_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

COLUMNS = 6
"""Tokens of a row that is tried with."""

_SAME = 0.02
"""By how much logits may differ, as a share of their range: rounding stays below, also in bf16; a wrong state doesn't.
"""

_hiding: weakref.WeakKeyDictionary[torch.nn.Module, bool] = weakref.WeakKeyDictionary()


def hides_padding(model: PreTrainedModel) -> bool:
    """Whether the mask hides padding that stands before a text from ``model``, read without a cache.

    RWKV, for example, takes a mask and doesn't look at it: padding before a text changes what it says, silently.
    """
    base = base_model_of(model)
    if base not in _hiding:
        _hiding[base] = _tried_padding(ForwardPass(base))
    return _hiding[base]


@torch.no_grad()
def _tried_padding(forward: ForwardPass) -> bool:
    if not forward.takes_mask:
        return False
    padding = COLUMNS // 2
    token_ids_1N = trial_tokens(forward, rows=1)
    mask_1N = torch.ones_like(token_ids_1N)
    mask_1N[:, :padding] = 0
    padded_1V, _ = forward(token_ids_1N, mask_1N, keeps_cache=False)
    return is_same(padded_1V[0], whole_logits(forward, token_ids_1N[0, padding:]))


def whole_logits(forward: ForwardPass, token_ids_N: torch.Tensor) -> torch.Tensor:
    """The logits after these tokens alone, [V], from one pass without a cache."""
    token_ids_1N = token_ids_N[None]
    return forward(token_ids_1N, torch.ones_like(token_ids_1N), keeps_cache=False)[0][0]


def is_same(one_V: torch.Tensor, other_V: torch.Tensor) -> bool:
    """Whether logits differ by no more than rounding."""
    one_V, other_V = one_V.float(), other_V.float()
    return bool((one_V - other_V).abs().max() <= _SAME * (other_V.max() - other_V.min()))


def trial_tokens(forward: ForwardPass, rows: int) -> torch.Tensor:
    """Different tokens, spread over the vocabulary, [rows, :data:`COLUMNS`]."""
    vocabulary: int = forward.model.get_input_embeddings().num_embeddings  # type: ignore[assignment]
    count = rows * COLUMNS
    numbers = [(1 + place) * vocabulary // (count + 1) for place in range(count)]
    return torch.tensor(numbers, device=forward.model.device).view(rows, COLUMNS)
