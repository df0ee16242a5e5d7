"""Log-probs of replies, many at a time, are those of each alone, whatever the architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from decoding_cases import NEARLY_EQUAL, logits_of, requests_of, tiny
from tiny_architectures import SHAPES

from builders import a_sample
from medical_team.policy.forward_pass import hides_padding, reply_log_probs, token_batch

TEMPERATURE = 0.7


@pytest.mark.parametrize("architecture", sorted(SHAPES))
def test_replies_of_many_lengths_are_read_as_if_each_were_alone(architecture: str) -> None:
    model = tiny(architecture)
    prompts = requests_of([30, 12, 12, 3], [1, 1, 1, 1])
    replies = [request.prompt_token_ids[:length] for request, length in zip(prompts, (5, 9, 1, 3), strict=True)]
    samples = [
        a_sample(prompt_token_ids=prompt.prompt_token_ids, token_ids=reply, log_probs=(0.0,) * len(reply))
        for prompt, reply in zip(prompts, replies, strict=True)
    ]
    with torch.inference_mode():
        together_BR = reply_log_probs(model, token_batch(samples, 0, model.device), TEMPERATURE)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        alone_RV = torch.log_softmax(logits_of(model, prompt, reply) / TEMPERATURE, dim=-1)
        alone_R = alone_RV.gather(1, torch.tensor(reply)[:, None])[:, 0]
        torch.testing.assert_close(together_BR[row, : len(reply)], alone_R, rtol=0, atol=NEARLY_EQUAL)


def test_models_that_see_padding_whatever_the_mask_says_are_found_out() -> None:
    assert [name for name in sorted(SHAPES) if not hides_padding(tiny(name))] == ["recurrent_gemma", "rwkv", "xlstm"]


def test_gradients_flow_where_padding_is_put_behind() -> None:
    model: Any = tiny("rwkv")
    (request,) = requests_of([6], [1])
    sample = a_sample(prompt_token_ids=request.prompt_token_ids, token_ids=(9, 8), log_probs=(0.0, 0.0))
    torch.autograd.backward(reply_log_probs(model, token_batch([sample], 0, model.device), 1.0).sum())
    weight = model.get_input_embeddings().weight
    assert weight.grad is not None
    assert weight.grad.any()
    model.zero_grad()
