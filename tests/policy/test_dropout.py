"""Dropout is off, wherever a model keeps it."""

from __future__ import annotations

import pytest
import torch
from tiny_architectures import tiny_model

from medical_team.policy.dropout import switch_off_dropout

PROBE = torch.arange(5, 40)[None]


def logits_in_training_mode(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.train()(input_ids=PROBE, use_cache=False).logits


@pytest.mark.parametrize(
    "model_type",
    [
        "falcon",  # an attention_dropout that is a module
        "bloom",
        "persimmon",
        "opt",  # probabilities that are handed to a function, of 0.1 by default; whole layers can be dropped, too
        "biogpt",
        "gpt2",
        "gpt_bigcode",
        "xglm",
        "seed_oss",
        "llama",
    ],
)
def test_passes_repeat_even_in_training_mode(model_type):
    options = {"layerdrop": 0.5} if model_type in ("opt", "biogpt", "xglm") else {}
    model = tiny_model(model_type, **options)
    without = model(input_ids=PROBE, use_cache=False).logits

    switch_off_dropout(model)

    assert torch.equal(logits_in_training_mode(model), logits_in_training_mode(model))
    torch.testing.assert_close(logits_in_training_mode(model), without, rtol=0, atol=1e-5)


def test_without_it_passes_differ():
    model = tiny_model("opt")

    assert not torch.allclose(logits_in_training_mode(model), logits_in_training_mode(model), atol=1e-3)


def test_the_configuration_that_is_saved_keeps_its_dropout():
    model = tiny_model("opt")

    switch_off_dropout(model)

    assert model.config.dropout == 0.1
