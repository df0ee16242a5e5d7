"""Whether a policy on a CPU takes bf16: only where the processor is shown to be faster in it, and never a small one."""

from dataclasses import replace

import pytest
import torch

from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig
from medical_team.policy import auto_precision
from medical_team.policy.auto_precision import bf16_speedup, choose_precision
from medical_team.policy.policy import Policy


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(PolicyConfig(model=TINY_RANDOM_MODEL, device="cpu", lora_rank=4), seed=1)


@pytest.fixture
def large(monkeypatch):
    """A processor with bf16, on which the tiny policy counts as one that is worth a probe."""
    monkeypatch.setattr(auto_precision, "has_bf16", lambda device: True)
    monkeypatch.setattr(auto_precision, "SMALLEST_PROBED", 1)


@pytest.mark.parametrize(("speedup", "precision"), [(0.6, "fp32"), (1.4, "fp32"), (1.9, "bf16")])
def test_a_large_policy_takes_what_the_probe_shows_faster_and_says_so(policy, large, speedup, precision):
    told: list[str] = []

    assert choose_precision(policy, told.append, lambda model: speedup) == precision
    assert len(told) == 1
    assert f"computes in {precision}" in told[0]
    assert f"{speedup} times" in told[0]
    assert "policy.precision" in told[0]


def test_a_small_policy_is_not_probed(policy, monkeypatch):
    monkeypatch.setattr(auto_precision, "has_bf16", lambda device: True)

    assert choose_precision(policy, pytest.fail, pytest.fail) == "auto"


def test_a_processor_without_bf16_is_not_probed(policy, large, monkeypatch):
    monkeypatch.setattr(auto_precision, "has_bf16", lambda device: False)

    assert choose_precision(policy, pytest.fail, pytest.fail) == "auto"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_precision_that_is_named_stays(policy, large, monkeypatch, precision):
    monkeypatch.setattr(policy, "config", replace(policy.config, precision=precision))

    assert choose_precision(policy, pytest.fail, pytest.fail) == precision


def test_the_probe_measures_products_of_the_models_shapes():
    model = torch.nn.Sequential(torch.nn.Embedding(10, 8), torch.nn.Linear(8, 16), torch.nn.Linear(16, 8))

    assert 0.01 < bf16_speedup(model, seconds=0.01) < 100
