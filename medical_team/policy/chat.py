"""From a player's request to token ids, refusing what doesn't fit, and from a reply's token ids to text.

Text of a player is data: what a tokenizer would read as a control token is broken up before the template is filled.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, cast

from ..chat_template import Messages, dated_template, template_problem
from ..config import RolloutConfig
from ..control_tokens import special_token_ids, without_control_tokens
from ..game.rollout import PromptTooLong, RolloutRequest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .pair import Policies
    from .policy import Policy


_ANY_DAY = date(2026, 1, 1)


def chat_tokenizer(tokenizer: PreTrainedTokenizerBase) -> Any:
    """``tokenizer``, for chatting: its own types leave half of that open."""
    return tokenizer


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, reply_prefix: str, day: date) -> tuple[int, ...]:
    """The token ids of one user message, the start of the assistant's turn, and what its reply starts with.

    Only a user message is used, so that templates without a system role work. Templates that can switch thinking on
    and off (``enable_thinking``, as Qwen3's) are told to think if ``reply_prefix`` opens a thought, and not otherwise.
    Templates that ask what day it is are told ``day``.
    """
    content = without_control_tokens(tokenizer, prompt)
    rendered = _rendered(tokenizer, [{"role": "user", "content": content}], is_thinking=bool(reply_prefix), day=day)
    # Some templates of thinking models open the thought themselves.
    if not rendered.rstrip().endswith(reply_prefix):
        rendered += reply_prefix
    # Not verbose: who asks tells which note is too long, and transformers' own remark would stand above that.
    return tuple(cast("list[int]", tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"]))


def chat_template_problem(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Why nobody can be asked anything with this tokenizer's chat template, as the end of a sentence; None if all is
    well. Raises what a broken template raises."""
    return template_problem(
        lambda messages, is_thinking: _rendered(tokenizer, messages, is_thinking=is_thinking, day=_ANY_DAY)
    )


def decode_reply(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], eos_token_ids: Collection[int]) -> str:
    """The text of a reply, without end-of-sequence and other control tokens, and otherwise as it was written."""
    skipped = special_token_ids(tokenizer).union(eos_token_ids)
    kept = [token_id for token_id in token_ids if token_id not in skipped]
    return chat_tokenizer(tokenizer).decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Messages, *, is_thinking: bool, day: date) -> str:
    chat = chat_tokenizer(tokenizer)
    return chat.apply_chat_template(
        [dict(message) for message in messages],
        tokenize=False,
        chat_template=dated_template(chat.get_chat_template(), day),
        add_generation_prompt=True,
        enable_thinking=is_thinking,
    )


@dataclass(frozen=True)
class EncodedRequest:
    """A request whose prompt fits."""

    index: int
    """Its place among the requests of the call."""
    request: RolloutRequest
    prompt_token_ids: tuple[int, ...]


def encode_requests(
    policy: Policy, config: RolloutConfig, requests: Sequence[RolloutRequest]
) -> tuple[list[EncodedRequest], dict[int, PromptTooLong]]:
    """The requests that fit, in order, and by place why the others don't."""
    fitting: list[EncodedRequest] = []
    refusals: dict[int, PromptTooLong] = {}
    for index, request in enumerate(requests):
        prompt_token_ids = encode_prompt(policy.tokenizer, request.prompt, request.reply_prefix, policy.day)
        if len(prompt_token_ids) > config.max_prompt_tokens:
            why = f"rollout.max_prompt_tokens is {config.max_prompt_tokens}"
            refusals[index] = PromptTooLong(f"{len(prompt_token_ids)} tokens, {why}")
        elif len(prompt_token_ids) + request.max_tokens > (policy.context_window or math.inf):
            refusals[index] = PromptTooLong(
                f"{len(prompt_token_ids)} tokens and a reply of up to {request.max_tokens}, the model's context window "
                f"is {policy.context_window}"
            )
        else:
            fitting.append(EncodedRequest(index, request, prompt_token_ids))
    return fitting, refusals


def groups_by_voice(
    policies: Policies, requests: Sequence[EncodedRequest]
) -> dict[tuple[Policy, str, bool], list[EncodedRequest]]:
    """Requests by (policy, version, is_greedy): what speaks with the same weights in the same way."""
    groups: dict[tuple[Policy, str, bool], list[EncodedRequest]] = {}
    for encoded in requests:
        speaker = encoded.request.speaker
        voice = policies.policy_of(speaker.role), speaker.version, encoded.request.is_greedy
        groups.setdefault(voice, []).append(encoded)
    return groups
