"""Replies of OpenRLHF's rollout engine, an asynchronous vLLM engine that takes and gives tokens, or of a frozen
opponent behind an OpenAI-compatible server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from ...callbacks import Notify
from ...config import RolloutConfig, RunConfig
from ...errors import EndpointError
from ...evaluation.endpoint import EndpointRollout
from ...game.rollout import PromptTooLong, Reply, RolloutRequest
from ...network.proxies import privacy_warning
from ...openai_chat import ChatClient, ChatRequest
from ...policy.chat import decode_reply, encode_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class TokenLogProb(Protocol):
    """vLLM's log-probability of one token."""

    logprob: float


class Completion(Protocol):
    """What vLLM generated for one prompt."""

    token_ids: Sequence[int]
    logprobs: Sequence[Mapping[int, TokenLogProb]] | None
    finish_reason: str | None


class RequestOutput(Protocol):
    """vLLM's answer to one request."""

    outputs: Sequence[Completion]


class RolloutEngine(Protocol):
    """What an executor is given to generate with."""

    async def generate(
        self, prompt_token_ids: list[int], sampling_params: Any, multi_modal_data: Any = None
    ) -> RequestOutput:
        """Generate one completion."""
        ...


@dataclass(frozen=True)
class EngineRollout:
    """Draws the replies of one call with what OpenRLHF gave it."""

    engine: RolloutEngine
    tokenizer: PreTrainedTokenizerBase
    sampling_params: Any
    """vLLM's, shared with sibling calls: never changed."""
    max_length: int
    """Most tokens of prompt and reply together (``--data.max_len``)."""
    config: RolloutConfig
    day: date
    """What the chat template is told."""

    async def generate(self, request: RolloutRequest) -> Reply | PromptTooLong:
        """The reply to ``request``. Raises what the engine raises."""
        prompt_token_ids = encode_prompt(self.tokenizer, request.prompt, request.reply_prefix, self.day)
        params = self._params(request)
        if (refusal := self._refusal(len(prompt_token_ids), params.max_tokens)) is not None:
            return refusal
        output = await self.engine.generate(list(prompt_token_ids), params)
        return self._reply(prompt_token_ids, output.outputs[0])

    def _params(self, request: RolloutRequest) -> Any:
        params = deepcopy(self.sampling_params)
        # Without --rollout.max_new_tokens there is no other limit than ours.
        params.max_tokens = min(request.max_tokens, params.max_tokens or request.max_tokens)
        if request.is_greedy:
            params.temperature = 0.0
        if params.logprobs is None:
            # Of the sampled token alone: the games are saved with them.
            params.logprobs = 0
        return params

    def _refusal(self, prompt_tokens: int, max_tokens: int) -> PromptTooLong | None:
        if prompt_tokens > self.config.max_prompt_tokens:
            return PromptTooLong(
                f"{prompt_tokens} tokens, rollout.max_prompt_tokens is {self.config.max_prompt_tokens}"
            )
        if prompt_tokens + max_tokens > self.max_length:
            return PromptTooLong(
                f"{prompt_tokens} tokens and a reply of up to {max_tokens}, --data.max_len is {self.max_length}"
            )
        return None

    def _reply(self, prompt_token_ids: tuple[int, ...], completion: Completion) -> Reply:
        token_ids = tuple(completion.token_ids)
        is_finished = completion.finish_reason == "stop"
        return Reply(
            text=decode_reply(self.tokenizer, token_ids, token_ids[-1:] if is_finished else ()),
            prompt_token_ids=prompt_token_ids,
            token_ids=token_ids,
            log_probs=_log_probs(token_ids, completion.logprobs),
            is_finished=is_finished,
        )


def _log_probs(token_ids: Sequence[int], log_probs: Sequence[Mapping[int, TokenLogProb]] | None) -> tuple[float, ...]:
    if log_probs is None:
        raise ValueError("the rollout engine gave no log-probs, though it was asked for them")
    return tuple(float(entry[token_id].logprob) for token_id, entry in zip(token_ids, log_probs, strict=True))


class OpponentServer:
    """Draws the replies of the fixed opponent of ``config``, which must have one with an address.

    Raises:
        EndpointError: the address or the token can't be used.
    """

    def __init__(self, config: RunConfig, notify: Notify) -> None:
        self._client = _client_of(config, notify)
        self._rollout = EndpointRollout(self._client, config.rollout.temperature)

    async def generate(self, request: RolloutRequest) -> Reply | PromptTooLong:
        """The reply to ``request``, without token ids: nothing is learnt from it.

        Raises:
            EndpointError: the server can't be asked.
        """
        (reply,) = await asyncio.to_thread(self._rollout.generate, [request])
        return reply


def check_opponent_server(config: RunConfig, notify: Notify) -> None:
    """Ask the server of the fixed opponent for a word, where ``config`` names one.

    Raises:
        EndpointError: it can't be asked.
    """
    if config.opponents.url is None:
        return
    if warning := privacy_warning(config.opponents.url, sent="notes", receiver="the opponent"):
        notify(f"warning: {warning}")
    client = _client_of(config, notify)
    try:
        client.complete([ChatRequest("Say: ready", max_tokens=1)])
    except EndpointError as error:
        raise EndpointError(f"the opponent at opponents.url can't play: {error}") from error
    finally:
        client.close()
    notify(f"the opponent {config.opponents.fixed} answers at {config.opponents.url}")


def _client_of(config: RunConfig, notify: Notify) -> ChatClient:
    opponents = config.opponents
    return ChatClient(
        opponents.url or "",
        opponents.fixed or "",
        token_variable=opponents.token_variable,
        limit_option="rollout.max_revision_tokens and rollout.max_verdict_tokens",
        notify=notify,
    )
