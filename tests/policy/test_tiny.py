"""The tiny random model: deterministic, without a trace in global state, and shaped like real families."""

from pathlib import Path

import pytest
import torch

from medical_team.policy.tiny import Architecture, make_tiny_model, save_tiny_model

ARCHITECTURES: tuple[Architecture, ...] = ("llama", "qwen2", "gemma3")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_seed_gives_the_same_weights(architecture: Architecture):
    first, _ = make_tiny_model(3, architecture)
    again, _ = make_tiny_model(3, architecture)
    other, _ = make_tiny_model(4, architecture)
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))
    assert not torch.equal(first.get_input_embeddings().weight, other.get_input_embeddings().weight)


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    make_tiny_model()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_has_a_few_thousand_parameters(architecture: Architecture):
    model, _ = make_tiny_model(architecture=architecture)
    assert sum(parameter.numel() for parameter in model.parameters()) < 10_000
    assert not model.training


@pytest.mark.parametrize("text", ["Dr. O'Neil: 37.5 °C,\n\tpO₂ 8 kPa", "  two  spaces ", "日本語 🙂"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_text_survives_its_tokenizer(architecture: Architecture, text: str):
    _, tokenizer = make_tiny_model(architecture=architecture)
    token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(token_ids, clean_up_tokenization_spaces=False) == text
    assert len(token_ids) == len(text.encode())


def test_the_gemma_template_refuses_a_system_message_as_the_real_one_does():
    _, tokenizer = make_tiny_model(architecture="gemma3")
    with pytest.raises(Exception, match="System role not supported"):
        tokenizer.apply_chat_template([{"role": "system", "content": "x"}], tokenize=False)


def test_two_saved_folders_hold_the_same_bytes(tmp_path: Path):
    save_tiny_model(tmp_path / "a", seed=1)
    save_tiny_model(tmp_path / "b", seed=1)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(names)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
