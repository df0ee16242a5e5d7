from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_architectures import save_tiny_architecture

from medical_team.config import DEMO_MODEL, TINY_RANDOM_MODEL, Adaptation, PolicyConfig, Precision
from medical_team.errors import PolicyError
from medical_team.policy import policy as policy_room
from medical_team.policy import probe
from medical_team.policy import transformers_rollout as rollout_room
from medical_team.policy.decoding import choose_tokens
from medical_team.policy.pair import FrozenPolicy
from medical_team.policy.policy import Policy
from medical_team.policy.probe import choose_precision, probe_policy
from stand_ins import always


def a_policy(model: str | Path = TINY_RANDOM_MODEL, adaptation: Adaptation = "lora", **options: Any) -> Policy:
    config = PolicyConfig(model=str(model), adaptation=adaptation, lora_rank=4, device="cpu", **options)
    return Policy(config, seed=0)


def saved(folder: Path, model_type: str) -> Path:
    save_tiny_architecture(folder / model_type, model_type)
    return folder / model_type


@pytest.mark.parametrize("adaptation", ["lora", "full"])
@pytest.mark.parametrize("model", [DEMO_MODEL, TINY_RANDOM_MODEL])
def test_what_works_passes_and_is_as_it_was(model: str, adaptation: Adaptation) -> None:
    policy = a_policy(model, adaptation)
    before = {name: weights.detach().clone() for name, weights in policy.model.named_parameters()}
    random_state = torch.random.get_rng_state()

    found = probe_policy(policy)

    assert found is not None
    assert found.passes == 0.0
    assert found.sampler < 1e-5
    assert all(torch.equal(weights, before[name]) for name, weights in policy.model.named_parameters())
    assert all(weights.grad is None for weights in policy.model.parameters())
    assert torch.equal(torch.random.get_rng_state(), random_state)


def test_rounding_in_bf16_passes() -> None:
    found = probe_policy(a_policy(precision="bf16"))

    assert found is not None
    assert 1e-5 < found.sampler < 0.1


def test_a_model_that_only_speaks_is_asked_for_no_gradient(tmp_path: Path) -> None:
    found = probe_policy(FrozenPolicy(TINY_RANDOM_MODEL, device="cpu", day=date(2026, 1, 1)))

    assert found is not None
    assert found.sampler < 1e-5


def test_dropout_that_stays_on_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_room, "switch_off_dropout", always(None))
    policy = a_policy(saved(tmp_path, "opt"), gradient_checkpointing=True)

    with pytest.raises(PolicyError, match=r"OPTForCausalLM.* differ by .* from pass to pass.*gradient_checkpointing"):
        probe_policy(policy)


def test_a_sampler_that_says_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def colder(logits_BV: torch.Tensor, temperature: float, draws: list[float]):
        return choose_tokens(logits_BV, 0.8 * temperature, draws)

    monkeypatch.setattr("medical_team.policy.decoding.choose_tokens", colder)

    with pytest.raises(PolicyError, match=r"the sampler's log-probs differ by .* from the learner's"):
        probe_policy(a_policy())


def test_gradients_that_are_no_numbers_are_noticed(tmp_path: Path) -> None:
    # In Gemma 3n a padding token whose embedding is zero has an infinite gradient.
    policy = a_policy(saved(tmp_path, "gemma3n_text"))

    with pytest.raises(PolicyError, match=r"Gemma3nForCausalLM.*can't be trained here: gradients are not numbers"):
        probe_policy(policy)


def test_a_model_that_no_gradient_passes_is_noticed() -> None:
    policy = a_policy()
    model: Any = policy.model

    def cut(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (inputs[0].detach().requires_grad_(True),)

    model.get_output_embeddings().register_forward_pre_hook(cut)

    with pytest.raises(PolicyError, match=r"no gradient reaches what is to be trained.*policy\.adaptation to full"):
        probe_policy(policy)


def test_what_breaks_while_computing_is_one_message() -> None:
    policy = a_policy()

    def broken(*_: object, **__: object):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied\nmore")

    policy.model.forward = broken

    with pytest.raises(
        PolicyError, match=r"it fails with RuntimeError: mat1 and mat2 shapes cannot be multiplied\. Try"
    ):
        probe_policy(policy)


def test_no_memory_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(rollout_room.TransformersRollout, "generate", full)

    with pytest.raises(PolicyError, match="has no room on cpu to learn from three short replies"):
        probe_policy(a_policy())


@pytest.mark.parametrize(
    ("asked", "has_units", "smallest", "precision"),
    [
        ("auto", True, 1, "bf16"),
        ("auto", True, probe.SMALLEST_IN_BF16, "auto"),
        ("auto", False, 1, "auto"),
        ("fp32", True, 1, "fp32"),
    ],
    ids=["large", "small", "no units", "named"],
)
def test_a_large_policy_takes_bf16_where_the_processor_has_units_for_it_and_says_so(
    monkeypatch: pytest.MonkeyPatch, asked: Precision, has_units: bool, smallest: int, precision: str
) -> None:
    monkeypatch.setattr(probe, "has_matrix_units", always(has_units))
    monkeypatch.setattr(probe, "SMALLEST_IN_BF16", smallest)
    told: list[str] = []

    assert choose_precision(a_policy(precision=asked), told.append) == precision
    assert [("bf16" in text, "policy.precision" in text) for text in told] == [(True, True)] * (precision == "bf16")
