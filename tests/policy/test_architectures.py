"""Many architectures from beginning to end, and the page that says which of them work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from architecture_trial import try_architecture
from tiny_architectures import SHAPES

QUICK = ("falcon", "falcon_h1", "gemma3n_text", "gpt2", "llama", "mamba", "opt", "qwen3_moe")
"""Modules called dropout; a hybrid; a refusal; Conv1D; plain; recurrent; dropout in functions; experts."""

EACH = [
    pytest.param(model_type, marks=() if model_type in QUICK else pytest.mark.slow) for model_type in sorted(SHAPES)
]
ROW = re.compile(r"^\| \S+ \| `(?P<model_type>[\w-]+)` \| (?P<lora>\w+) \| (?P<full>\w+) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def page(repository: Path) -> dict[str, re.Match[str]]:
    """The rows of the table by model_type."""
    text = (repository / "docs" / "architectures.md").read_text(encoding="utf-8")
    return {row["model_type"]: row for row in ROW.finditer(text)}


def test_the_page_lists_every_architecture_that_is_tried(page: dict[str, re.Match[str]]) -> None:
    assert len(page) >= 25
    assert page.keys() == SHAPES.keys()


@pytest.mark.parametrize("model_type", EACH)
def test_with_lora_it_is_as_the_page_says(model_type: str, page: dict[str, re.Match[str]], tmp_path: Path) -> None:
    trial = try_architecture(model_type, "lora", tmp_path)

    assert trial.works == (page[model_type]["lora"] == "works"), trial
    assert trial.works or "can't be trained here" in trial.refusal


@pytest.mark.parametrize("model_type", QUICK)
def test_with_all_weights_it_is_as_the_page_says(
    model_type: str, page: dict[str, re.Match[str]], tmp_path: Path
) -> None:
    trial = try_architecture(model_type, "full", tmp_path)

    assert trial.works == (page[model_type]["full"] == "works"), trial
    assert trial.works or "can't be trained here" in trial.refusal


@pytest.mark.parametrize("model_type", ["falcon_h1", "opt"])
def test_so_it_is_with_recomputed_activations(model_type: str, tmp_path: Path) -> None:
    assert try_architecture(model_type, "lora", tmp_path, gradient_checkpointing=True).works
