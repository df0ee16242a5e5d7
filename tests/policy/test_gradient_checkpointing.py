"""Gradient checkpointing: activations are recomputed, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from tiny_architectures import save_tiny_architecture

from medical_team.config import PolicyConfig
from medical_team.errors import PolicyError
from medical_team.policy.policy import Policy

MODEL_TYPES = ("llama", "opt", "biogpt", "gpt_bigcode", "seed_oss", "phimoe")
# LoRA takes no router of phimoe: it is no linear layer.
CASES = [(name, how) for name in MODEL_TYPES for how in ("lora", "full") if (name, how) != ("phimoe", "lora")]
PROBE = torch.arange(5, 40)[None]


def a_policy(folder, adaptation: str, *, gradient_checkpointing: bool) -> Policy:
    config = PolicyConfig(
        model=str(folder),
        adaptation=adaptation,
        lora_rank=4,
        device="cpu",
        gradient_checkpointing=gradient_checkpointing,
    )
    return Policy(config, seed=0)


def gradients(policy: Policy) -> tuple[dict[str, torch.Tensor], int]:
    """The gradients of one pass, and how often its attention was computed."""
    calls: list[int] = []
    attention = next(module for name, module in policy.model.named_modules() if name.endswith(("attn", "attention")))
    handle = attention.register_forward_hook(lambda *_: calls.append(1))
    with policy.learning() as model:
        logits_1TV = model(input_ids=PROBE, use_cache=False).logits
    torch.nn.functional.cross_entropy(logits_1TV[0, :-1], PROBE[0, 1:]).backward()
    handle.remove()
    found = {name: weights.grad for name, weights in policy.trainable_parameters() if weights.grad is not None}
    return found, len(calls)


@pytest.mark.parametrize(("model_type", "adaptation"), CASES)
def test_activations_are_recomputed_and_gradients_stay_the_same(model_type, adaptation, tmp_path):
    # Noise in a router is a matter of training mode, too.
    options = {"input_jitter_noise": 0.5, "router_jitter_noise": 0.5} if model_type == "phimoe" else {}
    save_tiny_architecture(tmp_path, model_type, **options)

    kept, calls = gradients(a_policy(tmp_path, adaptation, gradient_checkpointing=False))
    recomputed, more_calls = gradients(a_policy(tmp_path, adaptation, gradient_checkpointing=True))

    assert (calls, more_calls) == (1, 2)
    assert recomputed.keys() == kept.keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_outside_of_learning_everything_is_as_in_evaluation(tmp_path):
    save_tiny_architecture(tmp_path, "opt")
    policy = a_policy(tmp_path, "lora", gradient_checkpointing=True)

    with policy.learning() as model:
        assert any(module.training for module in model.modules())

    assert not any(module.training for module in policy.model.modules())


def test_an_architecture_that_can_t_says_so(tmp_path):
    save_tiny_architecture(tmp_path, "openai-gpt")

    with pytest.raises(PolicyError, match="gradient_checkpointing to false"):
        a_policy(tmp_path, "full", gradient_checkpointing=True)
