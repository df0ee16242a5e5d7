"""What every rollout engine does before it draws anything: prompts to token ids, refusing those that don't fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config import RolloutConfig
from ..game.rollout import PromptTooLong, RolloutRequest
from .chat import encode_prompt
from .pair import Policies
from .policy import Policy


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
        refusal = _refusal(policy.context_window, config, len(prompt_token_ids), request.max_tokens)
        if refusal is None:
            fitting.append(EncodedRequest(index, request, prompt_token_ids))
        else:
            refusals[index] = refusal
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


def _refusal(window: int | None, config: RolloutConfig, prompt_tokens: int, max_tokens: int) -> PromptTooLong | None:
    if prompt_tokens > config.max_prompt_tokens:
        return PromptTooLong(f"{prompt_tokens} tokens, rollout.max_prompt_tokens is {config.max_prompt_tokens}")
    if window is not None and prompt_tokens + max_tokens > window:
        return PromptTooLong(
            f"{prompt_tokens} tokens and a reply of up to {max_tokens}, the model's context window is {window}"
        )
    return None
