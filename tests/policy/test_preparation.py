from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tiny_architectures import save_tiny_architecture, tiny_model

from medical_team.config import Adaptation, PolicyConfig
from medical_team.errors import PolicyError
from medical_team.policy import policy as policy_module
from medical_team.policy.policy import Policy
from medical_team.policy.preparation import switch_off_dropout
from medical_team.policy.transformers_inside import named_layers
from stand_ins import always

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
def test_passes_repeat_even_in_training_mode(model_type: str) -> None:
    options = {"layerdrop": 0.5} if model_type in ("opt", "biogpt", "xglm") else {}
    model = tiny_model(model_type, **options)
    without = model(input_ids=PROBE, use_cache=False).logits

    switch_off_dropout(model)

    assert torch.equal(logits_in_training_mode(model), logits_in_training_mode(model))
    torch.testing.assert_close(logits_in_training_mode(model), without, rtol=0, atol=1e-5)


def test_without_it_passes_differ() -> None:
    model = tiny_model("opt")

    assert not torch.allclose(logits_in_training_mode(model), logits_in_training_mode(model), atol=1e-3)


def test_the_configuration_that_is_saved_keeps_its_dropout() -> None:
    model = tiny_model("opt")

    switch_off_dropout(model)

    assert model.config.dropout == 0.1


MODEL_TYPES = ("llama", "opt", "biogpt", "gpt_bigcode", "seed_oss", "phimoe")
# LoRA takes no router of phimoe: it is no linear layer.
HOW: tuple[Adaptation, ...] = ("lora", "full")
CASES = [(name, how) for name in MODEL_TYPES for how in HOW if (name, how) != ("phimoe", "lora")]


def a_policy(folder: Path, adaptation: Adaptation, *, gradient_checkpointing: bool) -> Policy:
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

    def count(*_: object) -> None:
        calls.append(1)

    attention = next(module for name, module in named_layers(policy.model) if name.endswith(("attn", "attention")))
    handle = attention.register_forward_hook(count)
    with policy.learning() as model:
        logits_1TV = model(input_ids=PROBE, use_cache=False).logits
    torch.autograd.backward(torch.nn.functional.cross_entropy(logits_1TV[0, :-1], PROBE[0, 1:]))
    handle.remove()
    found = {name: weights.grad for name, weights in policy.trainable_parameters() if weights.grad is not None}
    return found, len(calls)


@pytest.mark.parametrize(("model_type", "adaptation"), CASES)
def test_activations_are_recomputed_and_gradients_stay_the_same(
    model_type: str, adaptation: Adaptation, tmp_path: Path
) -> None:
    # Noise in a router is a matter of training mode, too.
    options = {"input_jitter_noise": 0.5, "router_jitter_noise": 0.5} if model_type == "phimoe" else {}
    save_tiny_architecture(tmp_path, model_type, **options)

    kept, calls = gradients(a_policy(tmp_path, adaptation, gradient_checkpointing=False))
    recomputed, more_calls = gradients(a_policy(tmp_path, adaptation, gradient_checkpointing=True))

    assert (calls, more_calls) == (1, 2)
    assert recomputed.keys() == kept.keys()
    for name, gradient in kept.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-4, atol=1e-6, msg=name)


def test_outside_of_learning_everything_is_as_in_evaluation(tmp_path: Path) -> None:
    save_tiny_architecture(tmp_path, "opt")
    policy = a_policy(tmp_path, "lora", gradient_checkpointing=True)

    with policy.learning() as model:
        assert any(module.training for module in model.modules())

    assert not any(module.training for module in policy.model.modules())


def test_an_architecture_that_can_t_says_so(tmp_path: Path) -> None:
    save_tiny_architecture(tmp_path, "openai-gpt")

    with pytest.raises(PolicyError, match="gradient_checkpointing to false"):
        a_policy(tmp_path, "full", gradient_checkpointing=True)


TOKENS = torch.arange(5, 45).reshape(2, 20)


def logits_and_gradients(policy: Policy) -> dict[str, torch.Tensor]:
    with policy.learning() as model:
        logits_BRV = model(input_ids=TOKENS, logits_to_keep=4, use_cache=False).logits
    logits_BRV.float().logsumexp(dim=-1).sum().backward()
    gradients = {name: weights.grad for name, weights in policy.trainable_parameters() if weights.grad is not None}
    return {"logits": logits_BRV.detach(), **gradients}


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
@pytest.mark.parametrize("adaptation", ["lora", "full"])
def test_half_precision_with_fewer_copies_is_the_same_to_the_bit(
    adaptation: Adaptation, gradient_checkpointing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_architecture(tmp_path, "llama")
    config = PolicyConfig(
        model=str(tmp_path),
        adaptation=adaptation,
        lora_rank=4,
        device="cpu",
        precision="bf16",
        gradient_checkpointing=gradient_checkpointing,
    )
    spared = logits_and_gradients(Policy(config, seed=0))
    monkeypatch.setattr(policy_module, "spare_copies", always(None))
    copied = logits_and_gradients(Policy(config, seed=0))

    assert spared["logits"].dtype is torch.bfloat16
    assert spared.keys() == copied.keys()
    assert len(spared) > 1
    for name, values in copied.items():
        assert torch.equal(spared[name], values), name


def test_an_adapter_reads_what_the_model_computes_in(tmp_path: Path) -> None:
    save_tiny_architecture(tmp_path, "llama")
    policy = Policy(PolicyConfig(model=str(tmp_path), lora_rank=4, device="cpu", precision="bf16"), seed=0)
    read: set[torch.dtype] = set()

    def look(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        read.add(inputs[0].dtype)

    for name, module in named_layers(policy.model):
        if name.endswith("lora_A.default"):
            module.register_forward_pre_hook(look)

    with policy.inference_context() as model:
        model(input_ids=TOKENS)

    assert read == {torch.bfloat16}


def test_a_policy_at_half_precision_is_saved_merged_and_speaks_on(tmp_path: Path) -> None:
    save_tiny_architecture(tmp_path / "model", "llama")
    policy = Policy(PolicyConfig(model=str(tmp_path / "model"), lora_rank=4, device="cpu", precision="bf16"), seed=0)

    policy.save_merged(tmp_path / "merged", is_last=False)

    with policy.inference_context() as model:
        logits = model(input_ids=TOKENS, logits_to_keep=1, use_cache=False).logits
    again = Policy(PolicyConfig(model=str(tmp_path / "merged"), lora_rank=4, device="cpu", precision="bf16"), seed=0)
    with again.inference_context() as model:
        torch.testing.assert_close(model(input_ids=TOKENS, logits_to_keep=1, use_cache=False).logits, logits)


def test_compiled_products_are_bounded_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_architecture(tmp_path, "llama")
    config = PolicyConfig(model=str(tmp_path), lora_rank=4, device="cpu")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    Policy(config, seed=0)
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "128"

    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")
    Policy(config, seed=0)
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "1024"
