"""Calls of a causal language model, which is given what its ``forward`` takes: for logits of the next token, and for
log-probs of whole replies. Whether it hides padding, and whether a cache of its own gives what a pass over all gives,
is tried with a few tokens."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import torch
from transformers.cache_utils import Cache

from .transformers_inside import (
    base_model_of,
    cache_of,
    cache_parameter,
    has_attention_layers,
    keep_rows,
    takes,
    vocabulary_size,
)

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
    vocabulary = vocabulary_size(forward.model)
    count = rows * COLUMNS
    numbers = [(1 + place) * vocabulary // (count + 1) for place in range(count)]
    return torch.tensor(numbers, device=forward.model.device).view(rows, COLUMNS)


_FAILURES = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError)

_tried: weakref.WeakKeyDictionary[torch.nn.Module, OwnCache | None] = weakref.WeakKeyDictionary()
"""What the caches are that the models of this process make; it doesn't depend on their weights."""


class OwnCache(Enum):
    """What a cache of the model's own holds."""

    TOKENS = "tokens"
    """Something is as long as the mask."""
    STATES = "states"
    """Nothing is: the mask has nothing to say of a later token."""


def own_cache(forward: ForwardPass) -> OwnCache | None:
    """The cache that the model makes; None if it makes none, or if what it then says is not the same."""
    if forward.model not in _tried:
        _tried[forward.model] = _try(forward)
    return _tried[forward.model]


@torch.no_grad()
def _try(forward: ForwardPass) -> OwnCache | None:
    """Read the last two tokens of two rows, of which one has padding, one by one, and compare with all at once."""
    if forward.cache_name is None:
        return None
    token_ids_2N = trial_tokens(forward, rows=2)
    mask_2N = torch.ones_like(token_ids_2N)
    padding = COLUMNS // 2
    mask_2N[1, :padding] = 0
    ends = COLUMNS - 1, COLUMNS
    try:
        # First of all: some models keep a state in themselves, and a pass over all would take it away.
        expected = {
            end: [whole_logits(forward, token_ids_2N[row, row * padding : end]) for row in (0, 1)] for end in ends
        }
        _, cache = forward(token_ids_2N[:, : ends[0] - 1], mask_2N[:, : ends[0] - 1])
        if not isinstance(cache, Cache):
            return None
        kind = OwnCache.TOKENS if has_attention_layers(cache) else OwnCache.STATES
        for end in ends:
            # The rows change places each time: all that is kept of them must lie in the cache.
            order = [1, 0] if end == ends[0] else [0, 1]
            keep_rows(cache, torch.tensor([1, 0], device=mask_2N.device))
            logits_2V, made = forward(
                token_ids_2N[order, end - 1 : end], mask_2N[order, :end], cache, is_masked=kind is OwnCache.TOKENS
            )
            cache = cache if made is None else made
            if not all(is_same(logits_2V[place], expected[end][row]) for place, row in enumerate(order)):
                return None
    except torch.OutOfMemoryError:
        raise
    except _FAILURES:
        return None
    return kind


class PromptAndReply(Protocol):
    """A prompt and what was, or should be, replied to it, as token ids."""

    @property
    def prompt_token_ids(self) -> tuple[int, ...]:
        """The prompt, and what the reply starts with in it."""
        ...

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The reply, with its end."""
        ...


@dataclass(frozen=True)
class TokenBatch:
    """Samples as tensors: prompts padded on the left, replies on the right, so that all replies start in one column.

    B: samples; T: prompt columns + R; R: columns of the longest reply.
    """

    input_ids_BT: torch.Tensor
    attention_mask_BT: torch.Tensor
    reply_ids_BR: torch.Tensor
    reply_mask_BR: torch.Tensor
    """True where there is an action token."""


def token_batch(samples: Sequence[PromptAndReply], pad_token_id: int, device: torch.device) -> TokenBatch:
    """The tensors of ``samples``.

    Raises:
        ValueError: there is no sample.
    """
    prompt_width = max(len(sample.prompt_token_ids) for sample in samples)
    reply_width = max(len(sample.token_ids) for sample in samples)
    input_ids: list[list[int]] = []
    attention_mask: list[list[int]] = []
    for sample in samples:
        before = prompt_width - len(sample.prompt_token_ids)
        after = reply_width - len(sample.token_ids)
        tokens = [*sample.prompt_token_ids, *sample.token_ids]
        input_ids.append([pad_token_id] * before + tokens + [pad_token_id] * after)
        attention_mask.append([0] * before + [1] * len(tokens) + [0] * after)
    input_ids_BT = torch.tensor(input_ids, device=device)
    attention_mask_BT = torch.tensor(attention_mask, device=device)
    return TokenBatch(
        input_ids_BT=input_ids_BT,
        attention_mask_BT=attention_mask_BT,
        reply_ids_BR=input_ids_BT[:, prompt_width:],
        reply_mask_BR=attention_mask_BT[:, prompt_width:].bool(),
    )


def reply_log_probs(model: PreTrainedModel, batch: TokenBatch, temperature: float) -> torch.Tensor:
    """Log-probs of the action tokens at ``temperature``, [B, R] in fp32; what stands at padding has no meaning."""
    logits_BRV = _reply_logits(model, batch) if hides_padding(model) else _reply_logits_without_padding(model, batch)
    return -torch.nn.functional.cross_entropy(
        (logits_BRV.float() / temperature).flatten(0, 1), batch.reply_ids_BR.flatten(), reduction="none"
    ).view(batch.reply_ids_BR.shape)


def _reply_logits(model: PreTrainedModel, batch: TokenBatch) -> torch.Tensor:
    """Logits that predict the action tokens, [B, R, V]."""
    reply_width = batch.reply_ids_BR.shape[1]
    position_ids_BT = (batch.attention_mask_BT.cumsum(dim=1) - 1).clamp_(min=0)
    # The logits at a position predict the next token: take the last prompt position and all reply positions. Some
    # models give the logits of all positions whatever they are asked for.
    logits_BTV = model(
        input_ids=batch.input_ids_BT,
        attention_mask=batch.attention_mask_BT,
        position_ids=position_ids_BT,
        logits_to_keep=reply_width + 1,
        use_cache=False,
    ).logits
    return logits_BTV[:, -reply_width - 1 : -1]


def _reply_logits_without_padding(model: PreTrainedModel, batch: TokenBatch) -> torch.Tensor:
    """The same of a model that would see padding before a prompt: all of it stands behind, where no token looks.

    The logits of all positions are made, since replies begin at different ones.
    """
    width, reply_width = batch.input_ids_BT.shape[1], batch.reply_ids_BR.shape[1]
    columns_T = torch.arange(width, device=batch.input_ids_BT.device)
    padding_B1 = batch.attention_mask_BT.argmax(dim=1, keepdim=True)
    moved_BT = (columns_T + padding_B1) % width
    logits_BTV = model(
        input_ids=batch.input_ids_BT.gather(1, moved_BT),
        attention_mask=batch.attention_mask_BT.gather(1, moved_BT),
        position_ids=columns_T.expand_as(moved_BT),
        use_cache=False,
    ).logits
    # A reply began in the same column for all; now as many columns before it as the row had padding.
    places_BR = columns_T[width - reply_width - 1 : -1] - padding_B1
    return logits_BTV.gather(1, places_BR[:, :, None].expand(-1, -1, logits_BTV.shape[2]))
