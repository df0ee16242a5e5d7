"""Folders of models and adapters as other people's tools leave them: each is refused in words, or read with a word."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, TaskType, get_peft_model

from medical_team.errors import PolicyError
from medical_team.policy.loading import LanguageModel, load_language_model
from medical_team.policy.transformers_inside import read_tensors, write_tensors
from tiny_models import make_tiny_model, save_tiny_model

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and an adapter on it, side by side."""
    folder = tmp_path_factory.mktemp("models")
    save_tiny_model(folder / "model")
    config = LoraConfig(r=2, task_type=TaskType.CAUSAL_LM, target_modules=["q_proj"])
    adapted: Any = get_peft_model(make_tiny_model()[0], config)
    adapted.save_pretrained(folder / "adapter", save_embedding_layers=False)
    return folder


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved / "model", tmp_path / "model"))


@pytest.fixture
def adapter(saved: Path, model: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(saved / "adapter", tmp_path / "adapter"))
    edit(folder / "adapter_config.json", base_model_name_or_path=str(model))
    return folder


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def load(folder: Path, notify: Callable[[str], None] = lambda text: None) -> LanguageModel:
    return load_language_model(str(folder), device=torch.device("cpu"), dtype=torch.float32, notify=notify)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_clone_without_git_lfs_says_how_to_fetch_the_content(model: Path, name: str) -> None:
    (model / name).write_text(POINTER)

    with pytest.raises(PolicyError, match=f"{name} holds only a pointer of Git LFS, .* run `git lfs install`"):
        load(model)


def test_so_does_an_adapter_of_one(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").write_text(POINTER)

    with pytest.raises(PolicyError, match=r"adapter_model.safetensors holds only a pointer of Git LFS"):
        load(adapter)


@pytest.mark.parametrize(
    "template",
    [
        "{% for number in range(10**9) %}a{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ messages[7].content.x }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_template_that_fails_in_any_way_is_told(model: Path, template: str) -> None:
    (model / "chat_template.jinja").write_text(template)

    with pytest.raises(PolicyError, match=r"can't be filled with a user message: ."):
        load(model)


@pytest.mark.parametrize("changes", [{"eos_token_id": "</s>"}, {"hidden_size": "16"}, {"num_attention_heads": 0}])
def test_a_value_of_the_wrong_kind_in_config_json_is_told(model: Path, changes: dict[str, object]) -> None:
    edit(model / "config.json", **changes)

    with pytest.raises(PolicyError, match=r"config.json can't be used: ."):
        load(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 10}, "its weights have other shapes than config.json says"),
        ({"hidden_act": "gelu_magic"}, "transformers knows no 'gelu_magic'"),
    ],
)
def test_a_config_of_another_model_is_told(model: Path, changes: dict[str, object], message: str) -> None:
    edit(model / "config.json", **changes)

    with pytest.raises(PolicyError, match=message):
        load(model)


def test_weights_that_the_model_leaves_out_are_told(model: Path) -> None:
    layers = json.loads((model / "config.json").read_text())["num_hidden_layers"]
    edit(model / "config.json", num_hidden_layers=layers - 1)
    told: list[str] = []

    load(model, told.append)

    assert any("have no place in the model that its config.json describes" in text for text in told)


def test_those_of_a_whole_model_are_not(model: Path) -> None:
    told: list[str] = []

    load(model, told.append)

    assert told == []


@pytest.mark.parametrize("base", ["", " ", None, 7])
def test_an_adapter_without_a_base_is_told(adapter: Path, base: object) -> None:
    edit(adapter / "adapter_config.json", base_model_name_or_path=base)

    with pytest.raises(PolicyError, match="names no base model"):
        load(adapter)


def test_an_adapter_s_config_of_too_many_levels_is_told(adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text("[" * 100_000)

    with pytest.raises(PolicyError, match=r"adapter_config.json can't be read"):
        load(adapter)


def test_an_adapter_that_is_no_numbers_is_told(adapter: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    write_tensors({name: weight * float("nan") for name, weight in read_tensors(path).items()}, path)

    with pytest.raises(PolicyError, match=r"can't be merged: NaNs detected .* Fetch or train it again"):
        load(adapter)
