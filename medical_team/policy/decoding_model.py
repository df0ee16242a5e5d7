"""A causal language model as decoding sees it: tokens in, logits of the next token out, with or without a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from peft import PeftModel

from ..errors import PolicyError
from .key_values import attention_cache, has_sliding_windows
from .transformers_inside import cache_of, cache_parameter, takes

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.cache_utils import Cache


class DecodingModel:
    """A causal language model, and how it can be fed.

    A model that keeps nothing but keys and values of its tokens gets a cache of ours, whose rows can be selected and
    whose beginning can be shared. Any other model makes its own cache, which is handed on as it is. A model that takes
    no cache reads everything again for each token.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        # LoRA is inside the layers; peft's wrapper around them only costs time.
        self._model = cast("PreTrainedModel", model.get_base_model() if isinstance(model, PeftModel) else model)
        self._cache_name = cache_parameter(self._model)
        self._takes_positions = takes(self._model, "position_ids")
        self._keeps_chosen_logits = takes(self._model, "logits_to_keep")
        example = self.new_cache()
        self.can_select_rows = example is not None or self._cache_name is None
        self.can_share_prefix = example is not None
        self.can_pad_anywhere = example is not None and not has_sliding_windows(example) and self._takes_positions
        """Whether padding may stand between cached tokens and the rest of a row, or be put before it later. A sliding
        window counts columns, so padding would use it up, silently; and a model that isn't told positions may count
        padding, too."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._model.device

    def new_cache(self) -> Cache | None:
        """An empty cache of ours; None if the model needs another one or takes none."""
        if self._cache_name is None or self._model._is_stateful:
            return None
        return attention_cache(self._model.config)

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
        new_columns = attention_mask_BT.shape[1] - (0 if self._cache_name is None else cached_columns)
        inputs: dict[str, Any] = {
            "input_ids": input_ids_BT[:, -new_columns:],
            "attention_mask": attention_mask_BT,
            "use_cache": self._cache_name is not None,
        }
        if self._takes_positions:
            # Padding has no position: it stands on the left, or between a shared prefix and the rest.
            inputs["position_ids"] = (attention_mask_BT.cumsum(dim=1) - 1).clamp_(min=0)[:, -new_columns:]
        if self._keeps_chosen_logits:
            inputs["logits_to_keep"] = 1
        if cache is not None and self._cache_name is not None:
            inputs[self._cache_name] = cache
        output = self._model(**inputs)
        if cached_columns == 0 and cache is not None and cache.get_seq_length() != new_columns:
            raise PolicyError(
                f"{type(self._model).__name__} doesn't fill the cache that it is given, so its replies would be wrong. "
                "Take a model of another architecture."
            )
        return output.logits[:, -1], cache_of(output) if self._cache_name is not None else None
