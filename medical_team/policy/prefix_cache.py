"""The common beginning of several prompts, read once.

It holds what one model with certain weights made of these tokens, so it dies with each update of the weights: nobody
keeps one longer than a call of the sampler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ..errors import PolicyError
from .decoding_model import DecodingModel
from .key_values import repeat_row

if TYPE_CHECKING:
    from transformers.cache_utils import Cache


class PrefixCache:
    """Keys and values of ``token_ids`` under ``model``, which is run over them here.

    Raises:
        PolicyError: ``model`` can't share a prefix (:attr:`.decoding_model.DecodingModel.can_share_prefix`).
    """

    def __init__(self, model: DecodingModel, token_ids: Sequence[int]) -> None:
        self.token_ids = tuple(token_ids)
        self._model = model
        self._one_row = self._new_cache()
        input_ids_1P = torch.tensor([token_ids], device=model.device)
        model.next_logits(input_ids_1P, torch.ones_like(input_ids_1P), self._one_row, 0)

    def repeated(self, rows: int) -> Cache:
        """A cache of its own for ``rows`` rows that all begin with the prefix."""
        cache = self._new_cache()
        repeat_row(self._one_row, cache, rows)
        return cache

    def _new_cache(self) -> Cache:
        cache = self._model.new_cache()
        if cache is None:
            raise PolicyError("This model has no cache whose beginning can be shared.")
        return cache


def common_prefix_length(rows: Sequence[tuple[int, ...]]) -> int:
    """How many tokens at the start all ``rows`` have in common; 0 for no rows."""
    if not rows:
        return 0
    # Whatever the first and the last in lexical order share lies between them in all others too.
    first, last = min(rows), max(rows)
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return place
    return min(len(first), len(last))
