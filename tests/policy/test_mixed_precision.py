"""Fewer copies at half precision: the numbers stay, to the last bit."""

from __future__ import annotations

import pytest
import torch
from tiny_architectures import save_tiny_architecture

from medical_team.config import PolicyConfig
from medical_team.policy import policy as policy_module
from medical_team.policy.policy import Policy

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
    adaptation, gradient_checkpointing, tmp_path, monkeypatch
):
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
    monkeypatch.setattr(policy_module, "spare_copies", lambda model: None)
    copied = logits_and_gradients(Policy(config, seed=0))

    assert spared["logits"].dtype is torch.bfloat16
    assert spared.keys() == copied.keys()
    assert len(spared) > 1
    for name, values in copied.items():
        assert torch.equal(spared[name], values), name


def test_an_adapter_reads_what_the_model_computes_in(tmp_path):
    save_tiny_architecture(tmp_path, "llama")
    policy = Policy(PolicyConfig(model=str(tmp_path), lora_rank=4, device="cpu", precision="bf16"), seed=0)
    read: set[torch.dtype] = set()
    for name, module in policy.model.named_modules():
        if name.endswith("lora_A.default"):
            module.register_forward_pre_hook(lambda _module, inputs: read.add(inputs[0].dtype))

    with policy.inference_context() as model:
        model(input_ids=TOKENS)

    assert read == {torch.bfloat16}


def test_a_policy_at_half_precision_is_saved_merged_and_speaks_on(tmp_path):
    save_tiny_architecture(tmp_path / "model", "llama")
    policy = Policy(PolicyConfig(model=str(tmp_path / "model"), lora_rank=4, device="cpu", precision="bf16"), seed=0)

    policy.save_merged(tmp_path / "merged", is_last=False)

    with policy.inference_context() as model:
        logits = model(input_ids=TOKENS, logits_to_keep=1, use_cache=False).logits
    again = Policy(PolicyConfig(model=str(tmp_path / "merged"), lora_rank=4, device="cpu", precision="bf16"), seed=0)
    with again.inference_context() as model:
        torch.testing.assert_close(model(input_ids=TOKENS, logits_to_keep=1, use_cache=False).logits, logits)
