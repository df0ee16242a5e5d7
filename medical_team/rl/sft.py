"""Supervised fine-tuning (SFT): from demonstrations to token ids and the weights of the tokens in the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch

from ..config import RunConfig
from ..demonstrations.draw import Demonstration
from ..errors import UsageError
from ..policy.chat import encode_prompt, without_control_tokens
from ..policy.policy import Policy
from ..records import Role
from .batch import reply_mask
from .reinforce import token_weights


@dataclass(frozen=True)
class TokenizedDemonstration:
    """A demonstration as token ids; ``token_ids`` ends with the end-of-sequence token."""

    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]


@dataclass(frozen=True)
class SupervisedBatch:
    """The demonstrations of one update; N of them, the longest reply R tokens long."""

    demonstrations: Sequence[TokenizedDemonstration]
    coefficient: float
    """The weight of their loss."""

    @property
    def token_weights(self) -> torch.Tensor:
        """The weight of each token in the loss, [N, R]: the mean over demonstrations of their tokens' mean.

        Each demonstration weighs the same: over all tokens alike, a verdict's few would drown in a revision's hundred.
        """
        return token_weights(reply_mask(self.demonstrations), "seq-mean-token-mean")


def tokenized(demonstration: Demonstration, policy: Policy, config: RunConfig) -> TokenizedDemonstration:
    """``demonstration`` as the policy would read and write it.

    Raises:
        UsageError: the reply is longer than the limit on replies, so it could never be given.
    """
    tokenizer = policy.tokenizer
    reply = without_control_tokens(tokenizer, demonstration.reply)
    reply_ids = cast("list[int]", tokenizer(reply, add_special_tokens=False)["input_ids"])
    limit, option = config.rollout.max_verdict_tokens, "rollout.max_verdict_tokens"
    if demonstration.role is Role.ATTACKER:
        limit, option = config.rollout.max_revision_tokens, "rollout.max_revision_tokens"
    if len(reply_ids) >= limit:
        raise UsageError(
            f"the demonstrated reply for record {demonstration.record_id} has {len(reply_ids)} tokens and an end, more "
            f"than {option} ({limit}) allows. Set it to at least {len(reply_ids) + 1}."
        )
    return TokenizedDemonstration(
        prompt_token_ids=encode_prompt(tokenizer, demonstration.prompt, demonstration.reply_prefix, policy.day),
        token_ids=(*reply_ids, policy.reply_end_token_id),
    )
