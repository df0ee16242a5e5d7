"""Models and prompts for the tests of decoding, and what transformers' ``generate`` says of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from hypothesis import strategies as st
from tiny_architectures import tiny_model
from transformers import GenerationConfig, LlamaConfig, PreTrainedModel

from medical_team.game.rollout import Reply, RolloutRequest, Speaker
from medical_team.policy.chat import EncodedRequest
from medical_team.policy.decoding import DecodingRules
from medical_team.records import Role
from tensors import numbers
from tiny_models import make_tiny_model

ARCHITECTURES = ("llama", "qwen2", "gemma3")
WINDOW = 64
"""Of the tiny Gemma 3."""
VOCABULARY = 200
"""Tokens of the tiny models that prompts are made of, and a few more."""
END = 2
"""The tiny models' end-of-sequence token."""
PAD = 0
NEARLY_EQUAL = 1e-4

NEVER_ENDS = DecodingRules(0.7, is_greedy=False, eos_token_ids=frozenset(), pad_token_id=PAD, text_of=str)
"""Nobody ends early, so that the lengths of replies are known."""
GREEDY = DecodingRules(0.7, is_greedy=True, eos_token_ids=frozenset({END}), pad_token_id=PAD, text_of=str)
SAMPLED = DecodingRules(0.7, is_greedy=False, eos_token_ids=frozenset({END}), pad_token_id=PAD, text_of=str)


@cache
def model_of(architecture: str) -> PreTrainedModel:
    return make_tiny_model(5, architecture)[0]  # type: ignore[arg-type] - the name is checked there


def llama_config() -> LlamaConfig:
    config = model_of("llama").config
    assert isinstance(config, LlamaConfig)
    return config


def a_prompt(length: int, *, seed: int = 0) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed * 1000 + length)
    return tuple(numbers(torch.randint(10, VOCABULARY, (length,), generator=generator)))


def request_of(prompt_token_ids: tuple[int, ...], max_tokens: int, seed: int) -> EncodedRequest:
    """A request whose prompt is these tokens, whatever they spell."""
    return EncodedRequest(0, RolloutRequest(Speaker(Role.ATTACKER), "", "", max_tokens, seed), prompt_token_ids)


def a_request(length: int, *, max_tokens: int = 12, seed: int = 0) -> EncodedRequest:
    return request_of(a_prompt(length, seed=seed), max_tokens, seed)


REQUESTS = st.builds(
    a_request,
    st.integers(1, 20) | st.integers(WINDOW - 3, WINDOW + 3) | st.integers(1, 3 * WINDOW),
    max_tokens=st.integers(1, 20),
    seed=st.integers(0, 50),
)


_CHANGES: dict[str, dict[str, Any]] = {
    # The floor that they put under a step's length in a pass over many tokens is missing from the pass over one.
    "nemotron_h": {"time_step_min": 1e-6},
    "zamba2": {"time_step_min": 1e-6},
    # Narrower ones get a cache of another shape than their states have.
    "xlstm": {"hidden_size": 128, "num_heads": 2},
}


@cache
def tiny(architecture: str) -> PreTrainedModel:
    """The model, in which everything that it keeps matters: what is nothing at first is made to be something."""
    model = tiny_model(architecture, **_CHANGES.get(architecture, {}))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def requests_of(prompts: Sequence[int], replies: Sequence[int]) -> list[EncodedRequest]:
    """Prompts and replies of these lengths."""
    generator = torch.Generator().manual_seed(3)
    return [
        request_of(tuple(numbers(torch.randint(10, 200, (prompt,), generator=generator))), reply, seed)
        for seed, (prompt, reply) in enumerate(zip(prompts, replies, strict=True))
    ]


def generated_alone(model: PreTrainedModel, request: EncodedRequest) -> tuple[int, ...]:
    """The greedy reply of ``generate`` to this prompt alone, without any padding."""
    settings = GenerationConfig(
        max_new_tokens=request.request.max_tokens,
        do_sample=False,
        eos_token_id=END,
        pad_token_id=PAD,
        repetition_penalty=1.0,
    )
    prompt = torch.tensor([request.prompt_token_ids])
    with torch.inference_mode():
        sequence = cast("Any", model).generate(
            prompt, attention_mask=torch.ones_like(prompt), generation_config=settings
        )
    return tuple(numbers(sequence[0, prompt.shape[1] :]))


def logits_of(model: PreTrainedModel, request: EncodedRequest, token_ids: Sequence[int]) -> torch.Tensor:
    """Logits at each token of a reply, [R, V], from one pass without padding or cache."""
    input_ids = torch.tensor([[*request.prompt_token_ids, *token_ids]])
    with torch.inference_mode():
        logits_TV = model(input_ids=input_ids, use_cache=False).logits[0]
    return logits_TV[len(request.prompt_token_ids) - 1 : -1]


def assert_same_unless_nearly_equal(
    model: PreTrainedModel, request: EncodedRequest, ours: Sequence[int], theirs: Sequence[int]
) -> None:
    """The same tokens, up to a place where the two likeliest are so close that rounding may decide."""
    for place, (our_token, their_token) in enumerate(zip(ours, theirs, strict=False)):
        if our_token != their_token:
            first, second = numbers(logits_of(model, request, ours)[place].topk(2).values)
            assert first - second < NEARLY_EQUAL, (place, ours, theirs)
            return
    assert len(ours) == len(theirs)


def assert_log_probs_are_the_models(
    model: PreTrainedModel, request: EncodedRequest, reply: Reply, temperature: float
) -> None:
    log_probs_RV = torch.log_softmax(logits_of(model, request, reply.token_ids) / temperature, dim=-1)
    expected_R = log_probs_RV.gather(1, torch.tensor(reply.token_ids)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor(reply.log_probs), expected_R, rtol=0, atol=NEARLY_EQUAL)
