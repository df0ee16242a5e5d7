"""LoRA goes on the layers that can carry it, and on no others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, TaskType, get_peft_model
from tiny_architectures import tiny_model

from medical_team.errors import PolicyError
from medical_team.policy.adapter import adaptable_layers, attach_adapter
from medical_team.policy.tiny import make_tiny_model

PROBE = torch.arange(5, 40)[None]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3"])
def test_in_a_plain_transformer_all_linear_layers_but_the_head_are_adapted_as_peft_would(architecture):
    model, _ = make_tiny_model(architecture=architecture)
    ours = attach_adapter(model, name="tiny", rank=4, generator_seed=7)
    torch.manual_seed(7)
    theirs = get_peft_model(
        make_tiny_model(architecture=architecture)[0],
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type=TaskType.CAUSAL_LM),
    )

    expected = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(expected)
    assert all(torch.equal(weights, expected[name]) for name, weights in ours.named_parameters())


@pytest.mark.parametrize(
    ("model_type", "adapted"),
    [
        ("mamba", {"in_proj", "x_proj"}),  # dt_proj's weight is read past the layer; PEFT refuses out_proj
        ("falcon_h1", {"in_proj", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}),
        ("lfm2", {"in_proj", "out_proj", "q_proj", "k_proj", "v_proj", "w1", "w2", "w3"}),
        ("opt", {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"}),
        ("phimoe", {"q_proj", "k_proj", "v_proj", "o_proj"}),  # its router gives a tuple
        ("gpt2", {"c_attn", "c_proj", "c_fc"}),
        # Experts in one parameter, for which PEFT would take the names of a shared expert's layers.
        ("mixtral", {"q_proj", "k_proj", "v_proj", "o_proj"}),
        ("qwen3_moe", {"q_proj", "k_proj", "v_proj", "o_proj"}),
        ("deepseek_v3", {"q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"}),
    ],
)
def test_what_can_t_carry_an_adapter_is_left_out(model_type, adapted):
    model: Any = attach_adapter(tiny_model(model_type), name=model_type, rank=2, generator_seed=0)

    names = [name.partition(".lora_A")[0] for name, _ in model.named_parameters() if ".lora_A" in name]
    assert {name.rpartition(".")[2] for name in names} == adapted
    assert not model.peft_config["default"].target_parameters


def test_weights_that_stand_in_several_places_are_left_out():
    # Zamba2 uses one block of attention at several depths.
    once = adaptable_layers(tiny_model("zamba2", layers_block_type=["mamba", "hybrid"], num_hidden_layers=2))
    twice = adaptable_layers(tiny_model("zamba2"))

    assert any(name.endswith("q_proj") for name in once)
    assert not any(name.endswith("q_proj") for name in twice)
    assert any(name.endswith("in_proj") for name in twice)


def test_an_expert_that_no_probe_token_meets_is_adapted_as_the_others_are():
    class Chooser(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.experts = torch.nn.ModuleList([inner, torch.nn.Linear(16, 32, bias=False)])

        def forward(self, hidden):
            return self.experts[0](hidden)

    model, _ = make_tiny_model()
    model.model.layers[0].mlp.up_proj = Chooser(model.model.layers[0].mlp.up_proj)

    assert "model.layers.0.mlp.up_proj.experts.1" in adaptable_layers(model)


@pytest.mark.parametrize("model_type", ["falcon", "falcon_h1", "gpt2", "jamba", "llama4_text", "mamba", "zamba2"])
def test_every_adapted_layer_learns_and_can_be_merged(model_type):
    model = attach_adapter(tiny_model(model_type), name=model_type, rank=2, generator_seed=0)

    model(input_ids=PROBE, use_cache=False).logits.square().mean().backward()
    gradients = [weights.grad for name, weights in model.named_parameters() if "lora_B" in name]
    assert all(gradient is not None for gradient in gradients)
    assert any(bool(gradient.any()) for gradient in gradients)

    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
        apart = model(input_ids=PROBE, use_cache=False).logits
        merged = model.merge_and_unload()(input_ids=PROBE, use_cache=False).logits
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-4)


def test_a_model_without_a_linear_layer_says_so():
    model, _ = make_tiny_model()
    for layer in model.model.layers:
        layer.forward = lambda hidden_states, **_: hidden_states

    with pytest.raises(PolicyError, match=r"tiny .*has no linear layer.*policy\.adaptation to full"):
        attach_adapter(model, name="tiny", rank=2, generator_seed=0)
