"""From samples, or the demonstrations of supervised fine-tuning (SFT), to tensors: the batch of a step, and the
micro-batches that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch

from ..config import RunConfig
from ..control_tokens import without_control_tokens
from ..demonstrations.draw import Demonstration
from ..errors import UsageError
from ..policy.chat import encode_prompt
from ..policy.forward_pass import PromptAndReply
from ..policy.policy import Policy
from ..records import Role
from ..samples import Mismatch, Sample
from .reinforce import Advantages, token_weights


@dataclass(frozen=True)
class Batch:
    """The samples of one step. N: samples; R: columns of the longest reply; replies are padded on the right."""

    samples: tuple[Sample, ...]
    mask_NR: torch.Tensor
    """True where there is an action token."""
    old_log_probs_NR: torch.Tensor
    kl_NR: torch.Tensor
    """Estimate of the KL against the reference policy at each action token."""
    advantages: Advantages
    loss_weights_NR: torch.Tensor | None = None
    """The correction of each token's loss for what the engine drew from another policy; None: there is none."""
    mismatch: Mismatch | None = None

    @property
    def learnt_rows(self) -> list[int]:
        """The rows that carry a signal."""
        return [
            row for row, sample in enumerate(self.samples) if sample.role not in self.advantages.zero_variance_roles
        ]

    def token_mean(self, values_NR: torch.Tensor) -> float:
        """The mean of ``values_NR`` over all action tokens."""
        return float(values_NR[self.mask_NR].mean())

    def role_mean(self, values_NR: torch.Tensor, role: Role) -> float | None:
        """The mean of ``values_NR`` over the action tokens of ``role``; None where it has none."""
        rows = [row for row, sample in enumerate(self.samples) if sample.role is role]
        return float(values_NR[rows][self.mask_NR[rows]].mean()) if rows else None


def reply_mask(samples: Sequence[PromptAndReply]) -> torch.Tensor:
    """The mask of action tokens, [N, R]."""
    lengths_N = torch.tensor([len(sample.token_ids) for sample in samples])
    return torch.arange(int(lengths_N.max())) < lengths_N[:, None]


def padded_to(mask_NR: torch.Tensor, rows: Sequence[Sequence[float]]) -> torch.Tensor:
    """``rows`` as a tensor of the shape of ``mask_NR``, 0 at padding."""
    values_NR = torch.zeros(mask_NR.shape)
    values_NR[mask_NR] = torch.tensor([value for row in rows for value in row])
    return values_NR


def microbatch_rows(samples: Sequence[PromptAndReply], max_tokens: int) -> Iterator[list[int]]:
    """Row numbers that go together: similar lengths, at most ``max_tokens`` padded tokens, at least one row."""
    by_length = sorted(
        range(len(samples)), key=lambda row: (-len(samples[row].prompt_token_ids) - len(samples[row].token_ids), row)
    )
    rows: list[int] = []
    prompt_width = reply_width = 0
    for row in by_length:
        sample = samples[row]
        wider_prompt = max(prompt_width, len(sample.prompt_token_ids))
        wider_reply = max(reply_width, len(sample.token_ids))
        if rows and (len(rows) + 1) * (wider_prompt + wider_reply) > max_tokens:
            yield rows
            rows, wider_prompt, wider_reply = [], len(sample.prompt_token_ids), len(sample.token_ids)
        rows.append(row)
        prompt_width, reply_width = wider_prompt, wider_reply
    if rows:
        yield rows


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


class TooLongDemonstrationError(UsageError):
    """A demonstrated reply is longer than the limit on replies, so that it could never be given."""

    def __init__(self, record_id: str, tokens: int, option: str, limit: int) -> None:
        super().__init__(
            f"the demonstrated reply for record {record_id} has {tokens} tokens and an end, more than {option} "
            f"({limit}) allows. Set it to at least {tokens + 1}."
        )
        self.option = option
        self.tokens = tokens


def tokenized(demonstration: Demonstration, policy: Policy, config: RunConfig) -> TokenizedDemonstration:
    """``demonstration`` as the policy would read and write it.

    Raises:
        TooLongDemonstrationError: the reply is longer than the limit on replies.
    """
    tokenizer = policy.tokenizer
    reply = without_control_tokens(tokenizer, demonstration.reply)
    reply_ids = cast("list[int]", tokenizer(reply, add_special_tokens=False, verbose=False)["input_ids"])
    limit, option = config.rollout.max_verdict_tokens, "rollout.max_verdict_tokens"
    if demonstration.role is Role.ATTACKER:
        limit, option = config.rollout.max_revision_tokens, "rollout.max_revision_tokens"
    if len(reply_ids) >= limit:
        raise TooLongDemonstrationError(demonstration.record_id, len(reply_ids), option, limit)
    return TokenizedDemonstration(
        prompt_token_ids=encode_prompt(tokenizer, demonstration.prompt, demonstration.reply_prefix, policy.day),
        token_ids=(*reply_ids, policy.reply_end_token_id),
    )
