"""One call of a causal language model: it is given what its ``forward`` takes, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from .transformers_inside import cache_of, cache_parameter, takes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_OPTIONAL = ("attention_mask", "position_ids", "logits_to_keep", "use_cache")


class ForwardPass:
    """``forward`` of ``model``, for logits of the next token."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.name = type(model).__name__
        self.cache_name = cache_parameter(model)
        self._takes = frozenset(name for name in _OPTIONAL if takes(model, name))
        self.tokens_read = 0
        """How many tokens went through the model so far, padding included."""

    @property
    def takes_mask(self) -> bool:
        """Whether the model can be told what is padding."""
        return "attention_mask" in self._takes

    @property
    def takes_positions(self) -> bool:
        """Whether the model can be told where each token stands."""
        return "position_ids" in self._takes

    def __call__(
        self,
        input_ids_BN: torch.Tensor,
        attention_mask_BT: torch.Tensor,
        cache: Any = None,
        *,
        keeps_cache: bool = True,
        is_masked: bool = True,
    ) -> tuple[torch.Tensor, Any]:
        """Logits of the next token, [B, V], and the cache that the model gives back; None if it gives none.

        Args:
            input_ids_BN: the tokens that are read.
            attention_mask_BT: 1 at every token, 0 at padding, with a column for each that was read before.
            cache: what holds the columns that were read before; None at first.
            keeps_cache: whether the model should keep what it reads.
            is_masked: whether the model is told of the mask; positions are always counted by it.
        """
        new_columns = input_ids_BN.shape[1]
        inputs: dict[str, Any] = {"input_ids": input_ids_BN}
        if is_masked and self.takes_mask:
            inputs["attention_mask"] = attention_mask_BT
        if "use_cache" in self._takes:
            inputs["use_cache"] = keeps_cache
        if self.takes_positions:
            # Padding has no position: it stands on the left, or between a shared prefix and the rest.
            inputs["position_ids"] = (attention_mask_BT.cumsum(dim=1) - 1).clamp_(min=0)[:, -new_columns:]
        if "logits_to_keep" in self._takes:
            inputs["logits_to_keep"] = 1
        if cache is not None and self.cache_name is not None:
            inputs[self.cache_name] = cache
        output = self.model(**inputs)
        self.tokens_read += input_ids_BN.numel()
        return output.logits[:, -1], cache_of(output) if keeps_cache else None
