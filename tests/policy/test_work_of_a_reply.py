"""How many tokens go through a model while replies are drawn, whatever the architecture: each is read once."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import pytest
import torch
from decoding_cases import NEVER_ENDS, assert_log_probs_are_the_models, requests_of, tiny
from tiny_architectures import SHAPES, tiny_model
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from medical_team.game.rollout import Reply
from medical_team.policy.chat import EncodedRequest
from medical_team.policy.decoding import decode
from medical_team.policy.decoding_model import DecodingModel

WITHOUT_CACHE = {"minimax", "openai-gpt", "recurrent_gemma", "rwkv", "xlstm"}
"""No cache, or one of the architecture's own making: everything is read again for each token."""

IN_OTHER_LAYERS = {
    "bamba",
    "falcon_h1",
    "falcon_mamba",
    "gemma3n_text",
    "granitemoehybrid",
    "jamba",
    "lfm2",
    "mamba",
    "mamba2",
    "nemotron_h",
    "olmo_hybrid",
    "qwen3_5_text",
    "qwen3_next",
    "zamba2",
}
"""Recurrent states, or keys and values that layers share, in transformers' ordinary cache: rows may leave."""

WITH_CACHE = sorted(SHAPES.keys() - WITHOUT_CACHE)
each_architecture = pytest.mark.parametrize("architecture", sorted(SHAPES))


@contextlib.contextmanager
def tokens_read(model: PreTrainedModel) -> Generator[list[int]]:
    """The rows times columns of each pass through the model while the block runs."""
    passes: list[int] = []
    embeddings = model.get_input_embeddings()
    handle = embeddings.register_forward_hook(lambda module, inputs, output: passes.append(inputs[0].numel()))
    try:
        yield passes
    finally:
        handle.remove()


@torch.inference_mode()
def drawn(model: DecodingModel, requests: Sequence[EncodedRequest], batch_size: int = 4) -> list[Reply]:
    return decode(model, requests, NEVER_ENDS, batch_size=batch_size)


@pytest.mark.parametrize("architecture", WITH_CACHE)
def test_the_work_grows_with_the_reply_and_not_with_its_square(architecture: str) -> None:
    """Four prompts of 24 tokens: twice as many tokens to say take at most twice as many tokens to read."""
    model = DecodingModel(tiny(architecture))
    for length in (10, 20, 40):
        with tokens_read(tiny(architecture)) as passes:
            drawn(model, requests_of([24] * 4, [length] * 4))
        # All prompts once, and all of the reply but its last token.
        assert sum(passes) == 4 * (24 + length - 1)


@pytest.mark.parametrize("architecture", sorted(WITHOUT_CACHE))
def test_without_a_cache_everything_is_read_again_for_each_token(architecture: str) -> None:
    model = DecodingModel(tiny(architecture))
    with tokens_read(tiny(architecture)) as passes:
        drawn(model, requests_of([24], [10]))
    assert passes == list(range(24, 34))


@each_architecture
def test_replies_that_end_one_after_another_are_right_and_read_a_few_times_at_most(architecture: str) -> None:
    """Prompts and replies of several lengths, rows that leave and rows that come; log-probs as of one whole pass."""
    requests = requests_of([40, 24, 24, 24, 7, 7], [3, 40, 8, 20, 1, 30])
    model = DecodingModel(tiny(architecture))
    with tokens_read(tiny(architecture)) as passes:
        replies = drawn(model, requests)
    for request, reply in zip(requests, replies, strict=True):
        assert len(reply.token_ids) == request.request.max_tokens
        assert_log_probs_are_the_models(tiny(architecture), request, reply, NEVER_ENDS.temperature)
    needed = sum(len(request.prompt_token_ids) + request.request.max_tokens for request in requests)
    assert (sum(passes) < 2 * needed) == (architecture not in WITHOUT_CACHE)


@each_architecture
def test_each_architecture_takes_the_path_that_it_is_listed_under(architecture: str) -> None:
    model = DecodingModel(tiny(architecture))
    assert model.reads_again == (architecture in WITHOUT_CACHE)
    assert model.can_join == (architecture not in WITHOUT_CACHE | IN_OTHER_LAYERS)
    assert model.can_pad == (architecture not in {"recurrent_gemma", "rwkv", "xlstm"})


def test_a_cache_that_does_not_work_is_not_used() -> None:
    """A narrow xLSTM can't be called with the cache that it makes: slow replies, but right ones."""
    model = tiny_model("xlstm")
    assert DecodingModel(model).reads_again
    (request,) = requests_of([12], [6])
    assert_log_probs_are_the_models(model, request, drawn(DecodingModel(model), [request])[0], NEVER_ENDS.temperature)


class Careless(LlamaForCausalLM):
    """Hands a cache on, but counts positions from 0 for each token: silently wrong, unless somebody looks."""

    _is_stateful = True

    def forward(self, *inputs: Any, **others: Any) -> Any:
        positions = torch.arange(others["input_ids"].shape[1])[None]
        return super().forward(*inputs, **{**others, "position_ids": positions})


def test_a_cache_that_gives_other_logits_is_not_used() -> None:
    model = Careless(LlamaConfig(**tiny("llama").config.to_dict())).eval()
    model.load_state_dict(tiny("llama").state_dict())
    assert DecodingModel(model).reads_again
    (request,) = requests_of([12], [6])
    assert_log_probs_are_the_models(model, request, drawn(DecodingModel(model), [request])[0], NEVER_ENDS.temperature)
