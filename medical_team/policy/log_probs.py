"""Log-probabilities of replies under a model, with logits for the reply positions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from .forward_pass import hides_padding

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
