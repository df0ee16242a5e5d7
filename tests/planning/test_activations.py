"""The formulas for activations against what torch really keeps for the backward pass."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, Qwen2Config, Qwen3Config

from medical_team.planning.activations import (
    AUTOCAST_BF16,
    BF16,
    PURE_BF16,
    PURE_FP32,
    kv_cache_bytes,
    layer_bytes,
    training_bytes,
)
from medical_team.planning.model_shape import shape_of_config
from medical_team.policy.transformers_inside import cache_of

ROWS, COLUMNS = 2, 64
TOKENS = ROWS * COLUMNS
SIZES = {
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 100,
    "pad_token_id": 0,
}


def a_model(kind, layers, dtype):
    config = kind(**SIZES, num_hidden_layers=layers)
    config._attn_implementation = "sdpa"
    return AutoModelForCausalLM.from_config(config).to(dtype), shape_of_config(config.to_dict())


def kept_bytes(model, *, is_padded, is_autocast):
    """The storages that a forward pass keeps for the backward pass, weights aside."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    attention_mask = torch.ones((ROWS, COLUMNS), dtype=torch.long)
    if is_padded:
        attention_mask[:, :3] = 0
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_autocast),
    ):
        model.model(input_ids=torch.randint(1, 100, (ROWS, COLUMNS)), attention_mask=attention_mask, use_cache=False)
    return sum(storage.nbytes() for storage in kept.values())


@pytest.mark.parametrize("is_padded", [False, True])
@pytest.mark.parametrize(
    ("precisions", "dtype"),
    [(PURE_FP32, torch.float32), (PURE_BF16, torch.bfloat16), (AUTOCAST_BF16, torch.float32)],
    ids=["fp32", "bf16", "autocast"],
)
@pytest.mark.parametrize("kind", [LlamaConfig, Qwen2Config, Qwen3Config, Gemma3TextConfig])
def test_a_layer_keeps_what_the_formula_says(kind, precisions, dtype, is_padded):
    is_autocast = precisions is AUTOCAST_BF16
    one, _ = a_model(kind, 1, dtype)
    two, shape = a_model(kind, 2, dtype)
    measured = kept_bytes(two, is_padded=is_padded, is_autocast=is_autocast)
    measured -= kept_bytes(one, is_padded=is_padded, is_autocast=is_autocast)
    if is_autocast:
        measured -= BF16 * shape.layer_parameters

    formula = TOKENS * layer_bytes(shape, precisions, is_padded=is_padded)

    # Gemma's norms differ by more, in some bytes of a token: they add one to their weights anew in each pass.
    assert formula == pytest.approx(measured, rel=0.02 if kind is not Gemma3TextConfig else 0.06)


def test_checkpointing_keeps_each_layer_s_input_alone():
    model, shape = a_model(Qwen2Config, 6, torch.float32)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    measured = kept_bytes(model, is_padded=False, is_autocast=False)

    # What the last layer is computed again with comes on top when the backward pass starts.
    formula = training_bytes(shape, TOKENS, PURE_FP32, is_checkpointed=True, is_padded=False)
    without = training_bytes(shape, TOKENS, PURE_FP32, is_checkpointed=False, is_padded=False)

    inputs = formula - 2 * TOKENS * layer_bytes(shape, PURE_FP32)
    assert inputs == 6 * TOKENS * 4 * shape.hidden_size
    assert inputs <= measured < inputs * 1.6
    assert formula < without


def test_keys_and_values_take_what_a_cache_holds():
    model, shape = a_model(Qwen2Config, 3, torch.float32)
    cache = cache_of(model(input_ids=torch.randint(1, 100, (ROWS, COLUMNS)), use_cache=True))

    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)

    assert kv_cache_bytes(shape, TOKENS, 4) == held
