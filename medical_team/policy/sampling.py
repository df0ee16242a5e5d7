"""Drawing replies from a language model with ``generate``, one seed for each reply.

The draw is made here, not by ``generate``: a logits processor picks each row's next token with the row's own random
numbers and forces it. So a reply depends on its own seed and not on what else is in the batch (rounding aside), and
its log-probs at the sampling temperature are recorded on the way, without keeping the logits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from ..config import SamplingConfig
from ..game.sampler import PromptTooLong, Reply, SampleRequest
from .chat import decode_reply, encode_prompt
from .policy import Policy

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _EncodedRequest:
    index: int
    request: SampleRequest
    prompt_token_ids: tuple[int, ...]


class GenerateSampler:
    """The :class:`..game.sampler.Sampler` over ``generate``.

    Args:
        policy: the model that speaks, and its reference.
        config: temperature, limits, batch size.
        on_progress: told how many replies are drawn of how many, for a display.
    """

    def __init__(
        self, policy: Policy, config: SamplingConfig, *, on_progress: Progress = lambda done, total: None
    ) -> None:
        self._policy = policy
        self._config = config
        self._on_progress = on_progress

    def sample(self, requests: Sequence[SampleRequest]) -> list[Reply | PromptTooLong]:
        """One reply for each request, in order; none for none."""
        replies: list[Reply | PromptTooLong | None] = [None] * len(requests)
        fitting: list[_EncodedRequest] = []
        for index, request in enumerate(requests):
            prompt_token_ids = encode_prompt(self._policy.tokenizer, request.prompt, request.reply_prefix)
            refusal = self._refusal(len(prompt_token_ids), request.max_tokens)
            if refusal is None:
                fitting.append(_EncodedRequest(index, request, prompt_token_ids))
            else:
                replies[index] = refusal
        done = len(requests) - len(fitting)
        for batch in self._batches(fitting):
            for encoded, reply in zip(batch, self._sample_batch(batch), strict=True):
                replies[encoded.index] = reply
            done += len(batch)
            self._on_progress(done, len(requests))
        return [reply for reply in replies if reply is not None]

    def _refusal(self, prompt_tokens: int, max_tokens: int) -> PromptTooLong | None:
        if prompt_tokens > self._config.max_prompt_tokens:
            return PromptTooLong(
                f"{prompt_tokens} tokens, sampling.max_prompt_tokens is {self._config.max_prompt_tokens}"
            )
        window = self._policy.context_window
        if window is not None and prompt_tokens + max_tokens > window:
            return PromptTooLong(
                f"{prompt_tokens} tokens and a reply of up to {max_tokens}, the model's context window is {window}"
            )
        return None

    def _batches(self, requests: Sequence[_EncodedRequest]) -> Iterator[Sequence[_EncodedRequest]]:
        """Requests that go together: the same model and limit, similar lengths."""
        groups: dict[tuple[bool, int], list[_EncodedRequest]] = {}
        for encoded in requests:
            groups.setdefault((encoded.request.is_reference, encoded.request.max_tokens), []).append(encoded)
        for group in groups.values():
            group.sort(key=lambda encoded: (-len(encoded.prompt_token_ids), encoded.index))
            for start in range(0, len(group), self._config.batch_size):
                yield group[start : start + self._config.batch_size]

    @torch.inference_mode()
    def _sample_batch(self, batch: Sequence[_EncodedRequest]) -> list[Reply]:
        policy = self._policy
        input_ids_BP, attention_mask_BP = _left_padded(
            [encoded.prompt_token_ids for encoded in batch], policy.pad_token_id, policy.device
        )
        chooser = _TokenChooser([encoded.request for encoded in batch], self._config.temperature)
        generation_config = GenerationConfig(
            max_new_tokens=batch[0].request.max_tokens,
            do_sample=False,
            eos_token_id=sorted(policy.eos_token_ids),
            pad_token_id=policy.pad_token_id,
        )
        with policy.speaking(is_reference=batch[0].request.is_reference) as model:
            sequences_BT = model.generate(  # type: ignore[operator]
                input_ids=input_ids_BP,
                attention_mask=attention_mask_BP,
                generation_config=generation_config,
                logits_processor=LogitsProcessorList([chooser]),
            )
        new_tokens_BR: list[list[int]] = sequences_BT[:, input_ids_BP.shape[1] :].tolist()
        log_probs_BR = torch.stack(chooser.log_probs_by_position, dim=1).tolist()
        return [
            self._reply(encoded, tokens, log_probs)
            for encoded, tokens, log_probs in zip(batch, new_tokens_BR, log_probs_BR, strict=True)
        ]

    def _reply(self, encoded: _EncodedRequest, tokens: Sequence[int], log_probs: Sequence[float]) -> Reply:
        eos_token_ids = self._policy.eos_token_ids
        ends = [place for place, token in enumerate(tokens) if token in eos_token_ids]
        # `generate` fills a row up after its end, so what follows the first end is padding.
        token_ids = tuple(tokens[: ends[0] + 1]) if ends else tuple(tokens)
        return Reply(
            text=decode_reply(self._policy.tokenizer, token_ids, eos_token_ids),
            prompt_token_ids=encoded.prompt_token_ids,
            token_ids=token_ids,
            log_probs=tuple(log_probs[: len(token_ids)]),
            is_finished=bool(ends),
        )


class _TokenChooser(LogitsProcessor):
    """Picks each row's next token by inverting its cumulative distribution at the row's next random number."""

    def __init__(self, requests: Iterable[SampleRequest], temperature: float) -> None:
        requests = list(requests)
        self._uniforms = [None if request.is_greedy else random.Random(request.seed) for request in requests]
        self._temperature = temperature
        self.log_probs_by_position: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        log_probs_BV = torch.log_softmax(scores.float() / self._temperature, dim=-1)
        chosen_B1 = self._choose(log_probs_BV)
        self.log_probs_by_position.append(log_probs_BV.gather(1, chosen_B1)[:, 0])
        forced_BV = torch.full_like(scores, float("-inf"))
        return forced_BV.scatter_(1, chosen_B1, 0.0)

    def _choose(self, log_probs_BV: torch.Tensor) -> torch.Tensor:
        greedy_B1 = log_probs_BV.argmax(dim=-1, keepdim=True)
        if not any(self._uniforms):
            return greedy_B1
        draws = [uniform.random() if uniform else 0.0 for uniform in self._uniforms]
        cumulative_BV = log_probs_BV.double().exp().cumsum(dim=-1)
        draw_B1 = torch.tensor(draws, dtype=torch.float64, device=log_probs_BV.device)[:, None] * cumulative_BV[:, -1:]
        # The first token whose cumulative probability exceeds the draw: a token of probability 0 is never chosen.
        sampled_B1 = torch.searchsorted(cumulative_BV, draw_B1, right=True).clamp_(max=log_probs_BV.shape[1] - 1)
        is_greedy_B1 = torch.tensor([uniform is None for uniform in self._uniforms], device=log_probs_BV.device)[
            :, None
        ]
        return torch.where(is_greedy_B1, greedy_B1, sampled_B1)


def _left_padded(
    rows: Sequence[Sequence[int]], pad_token_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    input_ids = [[pad_token_id] * (width - len(row)) + list(row) for row in rows]
    attention_mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(input_ids, device=device), torch.tensor(attention_mask, device=device)
