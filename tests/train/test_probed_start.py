"""A run begins with a probe of its policy: a model that can't be trained ends it before anything is written."""

from __future__ import annotations

import pytest
from tiny_architectures import save_tiny_architecture

from builders import synthetic_records
from medical_team.config import DataConfig, PolicyConfig, RunConfig
from medical_team.errors import PolicyError
from medical_team.jsonl import write_jsonl
from medical_team.train.session import start_run


@pytest.mark.parametrize("kind", ["self-play", "warm-start"])
def test_a_model_that_can_t_be_trained_ends_the_run_before_it_begins(kind, tmp_path):
    write_jsonl(tmp_path / "train.jsonl", synthetic_records(1))
    save_tiny_architecture(tmp_path / "model", "gemma3n_text")
    config = RunConfig(
        data=DataConfig(train=str(tmp_path / "train.jsonl")),
        policy=PolicyConfig(model=str(tmp_path / "model"), device="cpu"),
    )

    with pytest.raises(PolicyError, match=r"Gemma3nForCausalLM.*can't be trained here"):
        start_run(config, tmp_path / "run", kind=kind)

    assert not (tmp_path / "run").exists()
