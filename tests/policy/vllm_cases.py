"""A small model whose heads are as wide as vLLM's kernels for a CPU want them, and requests for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from medical_team.config import Adaptation, PolicyConfig, RolloutConfig
from medical_team.game.rollout import RolloutRequest, Speaker
from medical_team.policy.policy import Policy
from medical_team.policy.shipped_models import make_tiny_model
from medical_team.records import LIVING, Role

CONFIG = RolloutConfig(
    engine="vllm", temperature=1.0, max_prompt_tokens=256, max_revision_tokens=48, max_verdict_tokens=8, batch_size=8
)


def save_model(folder: Path) -> Path:
    """A model with tied embeddings, in ``folder``."""
    _, tokenizer = make_tiny_model()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=number_of(tokenizer.bos_token_id),
        eos_token_id=number_of(tokenizer.eos_token_id),
        pad_token_id=number_of(tokenizer.pad_token_id),
    )
    with cast("Any", torch.random).fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        model = LlamaForCausalLM(config)
    cast("Any", model).save_pretrained(folder)
    cast("Any", tokenizer).save_pretrained(folder)
    return folder


def number_of(token_id: object) -> int:
    assert isinstance(token_id, int)
    return token_id


def make_policy(folder: Path, adaptation: Adaptation = "lora") -> Policy:
    return Policy(PolicyConfig(model=str(folder), adaptation=adaptation, lora_rank=8, device="cpu"), seed=3)


def learn_a_little(policy: Policy, seed: int, by: float = 0.02) -> None:
    """Change what learns, as an update does."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in policy.trainable_parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator)


def requests_for(count: int, version: str = LIVING, *, is_greedy: bool = False, first: int = 0) -> list[RolloutRequest]:
    return [
        RolloutRequest(
            Speaker(Role.ATTACKER, version),
            f"Note {number}: the patient takes {number} mg. Rewrite it.",
            "",
            max_tokens=24 + number % 3,
            seed=1000 + number,
            is_greedy=is_greedy,
        )
        for number in range(first, first + count)
    ]
