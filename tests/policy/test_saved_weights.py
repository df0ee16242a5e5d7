"""Taking over saved weights: those of the same model alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from medical_team.config import PolicyConfig
from medical_team.errors import PolicyError
from medical_team.policy.demo_model import make_demo_model
from medical_team.policy.policy import Policy


def a_policy(folder: Path, **shape: int) -> Policy:
    """A demo policy with random weights, small."""
    model, tokenizer = make_demo_model(1, heads=2, **shape)
    cast("Any", model).save_pretrained(folder)
    cast("Any", tokenizer).save_pretrained(folder)
    return Policy(PolicyConfig(model=str(folder), device="cpu", adaptation="full"), seed=0)


def test_weights_of_the_same_model_are_taken_over(tmp_path: Path) -> None:
    first = a_policy(tmp_path / "model", hidden_size=16)
    with torch.no_grad():
        next(first.model.parameters()).add_(1)
    first.save(tmp_path / "saved")
    second = a_policy(tmp_path / "again", hidden_size=16)

    second.load_weights(tmp_path / "saved")

    assert all(
        mine.equal(other) for mine, other in zip(second.model.parameters(), first.model.parameters(), strict=True)
    )


@pytest.mark.parametrize("shape", [{"hidden_size": 32}, {"hidden_size": 16, "layers": 2}])
def test_weights_of_a_model_that_has_changed_since_are_refused(tmp_path: Path, shape: dict[str, int]) -> None:
    a_policy(tmp_path / "former", **shape).save(tmp_path / "saved")
    policy = a_policy(tmp_path / "present", hidden_size=16)

    with pytest.raises(PolicyError, match=r"(?s)saved holds weights of another model than .*such as .*begin a new run"):
        policy.load_weights(tmp_path / "saved")


@pytest.mark.parametrize("kept_bytes", [0, 4, -50])
def test_weights_that_are_cut_off_are_told(tmp_path: Path, kept_bytes: int) -> None:
    policy = a_policy(tmp_path / "model", hidden_size=16)
    policy.save(tmp_path / "saved")
    weights = tmp_path / "saved" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept_bytes])

    with pytest.raises(PolicyError, match=r"the weights in .*saved can't be read"):
        policy.load_weights(tmp_path / "saved")
