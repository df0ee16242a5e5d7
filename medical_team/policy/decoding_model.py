"""A causal language model as decoding sees it: tokens in, logits of the next token out, with or without a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..errors import PolicyError
from .forward_pass import ForwardPass
from .key_values import attention_cache, has_sliding_windows
from .own_cache import OwnCache, own_cache
from .transformers_inside import base_model_of, default_cache, keep_rows, keeps_a_state

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache


class DecodingModel:
    """A causal language model, and how it can be fed.

    A model that keeps nothing but keys and values of its tokens gets a cache of ours, whose rows can be selected and
    whose beginning can be shared. Any other model makes its own cache, which is handed on as it is (:mod:`.own_cache`).
    A model without one reads everything again for each token.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        base = base_model_of(model)
        self._model = base
        self._forward = ForwardPass(base)
        example = self.new_cache()
        self._own: OwnCache | None = own_cache(ForwardPass(base)) if example is None else None
        self.name = self._forward.name
        self.reads_again = example is None and self._own is None
        """Whether there is no cache, so that all is read again for each token."""
        self.max_rows = None if self._own is None else self._own.max_rows
        """How many rows can be read together; None: any number."""
        self.can_pad = self._forward.takes_mask if self._own is None else self._own.can_pad
        """Whether prompts of different lengths can be read together, with padding before the shorter ones."""
        self.can_select_rows = self._own is None or self._own.can_select_rows
        self.can_share_prefix = example is not None
        self.can_pad_anywhere = (
            example is not None and self.can_pad and not has_sliding_windows(example) and self._forward.takes_positions
        )
        """Whether padding may stand between cached tokens and the rest of a row, or be put before it later. A sliding
        window counts columns, so padding would use it up, silently; and a model that isn't told positions may count
        padding, too."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._model.device

    @property
    def tokens_read(self) -> int:
        """How many tokens went through the model so far, padding included."""
        return self._forward.tokens_read

    def new_cache(self) -> Cache | None:
        """An empty cache of ours; None if the model needs another one or takes none."""
        if self._forward.cache_name is None or keeps_a_state(self._model):
            return None
        return attention_cache(self._model.config)

    def select_rows(self, cache: Cache, rows: torch.Tensor) -> None:
        """Keep ``rows`` of ``cache`` alone, in that order; only where :attr:`can_select_rows`."""
        if self._own is None:
            cache.batch_select_indices(rows)
        else:
            keep_rows(cache, rows)

    def next_logits(
        self, input_ids_BT: torch.Tensor, attention_mask_BT: torch.Tensor, cache: Cache | None, cached_columns: int
    ) -> tuple[torch.Tensor, Cache | None]:
        """Logits of the next token, [B, V], and the cache to hand in with the next one.

        Args:
            input_ids_BT: the tokens so far, padding included; those in the cache may be missing on the left.
            attention_mask_BT: 1 at every token, 0 at padding, with a column for each that is in the cache.
            cache: what holds the first ``cached_columns`` columns, or is empty; None for a model that makes its own.
            cached_columns: 0 at first; afterwards all but the newest.

        Raises:
            PolicyError: the model leaves the cache that it is given empty.
        """
        if self.reads_again:
            return self._forward(input_ids_BT, attention_mask_BT, keeps_cache=False)[0], None
        new_columns = attention_mask_BT.shape[1] - cached_columns
        if cache is None and self._own is not None and self._own.is_handed_in:
            cache = default_cache(self._model.config)
        logits_BV, made = self._forward(
            input_ids_BT[:, -new_columns:],
            attention_mask_BT,
            cache,
            is_masked=cached_columns == 0 or self._own is None or self._own.has_attention,
        )
        if cached_columns == 0 and self._own is None and cache is not None:
            self._raise_if_not_filled(cache, new_columns)
        return logits_BV, cache if made is None else made

    def _raise_if_not_filled(self, cache: Cache, columns: int) -> None:
        if cache.get_seq_length() != columns:
            raise PolicyError(
                f"{self.name} doesn't fill the cache that it is given, so its replies would be wrong. Take a model of "
                "another architecture."
            )
