"""The policy of the whole trainings is the demo policy."""

import torch
from transformers import AutoModelForCausalLM
from widened_policy import DEMO_POLICY, widened

from medical_team.policy.transformers_inside import from_pretrained


def test_the_widened_policy_computes_what_the_demo_policy_computes() -> None:
    old = from_pretrained(AutoModelForCausalLM, DEMO_POLICY, dtype=torch.float32)
    tokens = torch.randint(5, old.config.vocab_size, (2, 200), generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        expected, found = old(tokens).logits, widened(old, 32)(tokens).logits

    assert (expected - found).abs().max() < 1e-4
