"""Loading models: what a trainer is told about them, and one clear error for each way in which they can't be used."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import huggingface_hub.constants
import pytest
import torch
from hub_server import hub_server
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from safetensors import torch as safetensors_torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    LlamaForSequenceClassification,
    PreTrainedModel,
    T5Config,
)

from chat_templates import LIST_TEMPLATE
from medical_team.errors import ModelUnavailableError, PolicyError
from medical_team.policy.loading import LanguageModel, load_language_model
from medical_team.policy.transformers_inside import from_pretrained, read_tensors
from recording_proxy import use_proxy
from stand_ins import always
from tiny_models import Architecture, make_tiny_model, save_tiny_model

CPU = torch.device("cpu")
PROBE = torch.arange(3, 40)[None]


@pytest.fixture(scope="session")
def saved_tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_model(folder)
    return folder


@pytest.fixture
def folder(saved_tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of a good model folder, to be spoilt."""
    return Path(shutil.copytree(saved_tiny_model, tmp_path / "model"))


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache and no network; a test that wants a hub sets up its own."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    use_hub(monkeypatch, "http://127.0.0.1:9")


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def load(name: str | Path, dtype: torch.dtype = torch.float32) -> LanguageModel:
    return load_language_model(str(name), device=CPU, dtype=dtype)


def edit_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def logits(model: PreTrainedModel | PeftModel) -> torch.Tensor:
    with torch.no_grad():
        return model(PROBE).logits


# What a trainer is told


def test_the_tiny_model_is_made_on_the_spot() -> None:
    loaded = load("tiny-random")
    assert torch.equal(logits(loaded.model), logits(make_tiny_model()[0]))
    assert loaded.context_window == 8192
    assert loaded.name == "tiny-random"
    assert loaded.model.config.name_or_path == "tiny-random"


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma3"])
def test_a_folder_gives_the_model_that_was_saved(architecture: Architecture, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", seed=5, architecture=architecture)
    loaded = load(tmp_path / "model")
    assert torch.equal(logits(loaded.model), logits(make_tiny_model(5, architecture)[0]))
    assert not loaded.model.training


def test_weights_come_in_the_type_that_was_asked_for(folder: Path) -> None:
    assert load(folder, torch.bfloat16).model.dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("architecture", "ends"),
    [
        ("llama", {"<|im_end|>"}),
        ("qwen2", {"<|im_end|>", "<|endoftext|>"}),
        ("gemma3", {"<eos>", "<end_of_turn>"}),
    ],
)
def test_every_end_of_a_reply_is_known(architecture: Architecture, ends: set[str], tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", architecture=architecture)
    loaded = load(tmp_path / "model")
    assert set(loaded.tokenizer.convert_ids_to_tokens(sorted(loaded.eos_token_ids))) == ends


def test_the_end_of_turn_counts_even_where_only_the_chat_template_names_it(folder: Path) -> None:
    # As in a base model that was given a chat template.
    edit_json(folder / "config.json", eos_token_id=0)
    edit_json(folder / "generation_config.json", eos_token_id=0)
    edit_json(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    assert load(folder).eos_token_ids == {0, 2}


def test_the_models_own_generation_settings_are_ignored(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", architecture="qwen2")
    assert json.loads((tmp_path / "model" / "generation_config.json").read_text())["repetition_penalty"] == 1.05
    settings: Any = load(tmp_path / "model").model.generation_config
    assert settings is not None
    assert settings.repetition_penalty in (None, 1.0)
    assert settings.eos_token_id == [0, 2]


def test_without_a_padding_token_an_end_pads(folder: Path) -> None:
    for file in ("tokenizer_config.json", "config.json", "generation_config.json"):
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({k: v for k, v in content.items() if not k.startswith("pad_token")}))
    loaded = load(folder)
    assert loaded.pad_token_id == 2
    assert loaded.tokenizer.pad_token_id == 2


def test_a_padding_token_beyond_the_vocabulary_is_not_used(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = from_pretrained(AutoTokenizer, folder)
    tokenizer.add_special_tokens({"pad_token": "<|new-padding|>"})
    tokenizer.save_pretrained(folder)
    assert load(folder).pad_token_id == 2


def test_a_multi_modal_gemma_is_loaded_as_its_text_model(tmp_path: Path) -> None:
    text_model, tokenizer = make_tiny_model(architecture="gemma3")
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = Gemma3Config(
        text_config=text_model.config.to_dict(),
        vision_config={**vision, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=1,
    )
    multi_modal: Any = Gemma3ForConditionalGeneration(config).eval()
    multi_modal.save_pretrained(tmp_path / "model")
    cast("Any", tokenizer).save_pretrained(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert isinstance(loaded.model, Gemma3ForCausalLM)
    assert torch.equal(logits(loaded.model), logits(multi_modal))
    assert loaded.context_window == 8192


# LoRA adapters


def save_adapter(folder: Path, base: str, *, seed: int = 1) -> PeftModel:
    """An adapter with weights of its own on the tiny model, saved with ``base`` as the name of its base."""
    torch.default_generator.manual_seed(seed)
    config = LoraConfig(r=2, target_modules="all-linear", task_type=TaskType.CAUSAL_LM, init_lora_weights=False)
    adapted = get_peft_model(make_tiny_model()[0], config).eval()
    adapted.peft_config["default"].base_model_name_or_path = base
    # Otherwise peft asks the hub whether the base's embeddings have changed.
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    return adapted


def test_an_adapter_is_merged_into_its_base(saved_tiny_model: Path, tmp_path: Path) -> None:
    adapted = save_adapter(tmp_path / "adapter", str(saved_tiny_model))
    loaded = load(tmp_path / "adapter")
    assert not isinstance(loaded.model, PeftModel)
    assert not any("lora" in name for name, _ in loaded.model.named_parameters())
    torch.testing.assert_close(logits(loaded.model), logits(adapted), atol=1e-5, rtol=0)
    assert not torch.allclose(logits(loaded.model), logits(make_tiny_model()[0]), atol=1e-2)


def test_an_adapter_on_the_tiny_model_or_beside_its_base_is_found(folder: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "on-tiny", "tiny-random")
    save_adapter(tmp_path / "beside", "../model")
    assert torch.equal(logits(load(tmp_path / "on-tiny").model), logits(load(tmp_path / "beside").model))


def test_an_adapter_whose_base_is_missing_says_so(tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", "/nowhere/base")
    with pytest.raises(PolicyError, match=r"base of the adapter .*no folder /nowhere/base"):
        load(tmp_path / "adapter")


def test_an_adapter_that_is_its_own_base_says_so(tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", str(tmp_path / "adapter"))
    with pytest.raises(PolicyError, match="is it its own base"):
        load(tmp_path / "adapter")


def test_an_adapter_of_pickles_is_refused(tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", "tiny-random")
    (tmp_path / "adapter" / "adapter_model.safetensors").rename(tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(PolicyError, match="pickle"):
        load(tmp_path / "adapter")


def test_an_adapter_for_another_shape_is_refused(tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", "tiny-random")
    edit_json(tmp_path / "adapter" / "adapter_config.json", r=3)
    with pytest.raises(PolicyError, match="doesn't fit its base tiny-random"):
        load(tmp_path / "adapter")


# Folders that can't be used


def test_a_missing_folder() -> None:
    with pytest.raises(PolicyError, match="no folder /nowhere/at/all"):
        load("/nowhere/at/all")


def test_a_file_in_place_of_a_folder(folder: Path) -> None:
    with pytest.raises(PolicyError, match="is a file"):
        load(folder / "config.json")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", "there is no config.json"),
        ("tokenizer.json", "there is no tokenizer .*save_pretrained"),
        ("model.safetensors", "there are no weights"),
        ("chat_template.jinja", "no chat template.*chat_template.jinja"),
    ],
)
def test_a_missing_file_is_named(folder: Path, file: str, message: str) -> None:
    (folder / file).unlink()
    with pytest.raises(PolicyError, match=message):
        load(folder)


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load(tmp_path)
    assert all(word in str(caught.value) for word in ("config.json", "tokenizer", "weights"))


def test_truncated_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(PolicyError, match=r"model.safetensors is cut off"):
        load(folder)


def test_truncated_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "lla', encoding="utf-8")
    with pytest.raises(PolicyError, match=r"config\.json can't be read"):
        load(folder)


def test_a_truncated_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version"', encoding="utf-8")
    with pytest.raises(PolicyError, match=r"tokenizer of .* can't be loaded"):
        load(folder)


def test_a_missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    with pytest.raises(PolicyError, match=r"00002-of-00002.safetensors, which is missing"):
        load(folder)


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    weights = read_tensors(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    cast("Any", safetensors_torch).save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        PolicyError, match=r"lacks 1 of the model's weights, for example model\.layers\.1\.mlp\.up_proj"
    ):
        load(folder)


def test_pickles_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(PolicyError, match="pickle files, which can run code"):
        load(folder)


def test_code_of_its_own_is_refused_and_never_run(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="shady", auto_map={"AutoConfig": "shady.ShadyConfig"})
    (folder / "shady.py").write_text("raise SystemExit('code of the model was run')", encoding="utf-8")
    with pytest.raises(PolicyError, match="needs code of its own"):
        load(folder)


def test_an_unknown_architecture(folder: Path) -> None:
    edit_json(folder / "config.json", model_type="llama99")
    with pytest.raises(PolicyError, match="'llama99', which the installed transformers doesn't know"):
        load(folder)


def test_an_encoder_decoder_model(folder: Path) -> None:
    cast("Any", T5Config(d_model=8, num_layers=1, num_heads=1, d_ff=8)).save_pretrained(folder)
    with pytest.raises(PolicyError, match="encoder-decoder"):
        load(folder)


def test_a_masked_language_model(folder: Path) -> None:
    config = BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=300)
    cast("Any", BertForMaskedLM(config)).save_pretrained(folder)
    with pytest.raises(PolicyError, match="no causal language model but BertForMaskedLM"):
        load(folder)


def test_a_reward_model(folder: Path) -> None:
    cast("Any", LlamaForSequenceClassification(make_tiny_model()[0].config)).save_pretrained(folder)
    with pytest.raises(PolicyError, match="no causal language model but LlamaForSequenceClassification"):
        load(folder)


def test_a_model_without_any_end(folder: Path) -> None:
    edit_json(folder / "config.json", eos_token_id=None)
    edit_json(folder / "generation_config.json", eos_token_id=None)
    edit_json(folder / "tokenizer_config.json", eos_token=None)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}", encoding="utf-8")
    with pytest.raises(PolicyError, match="no end-of-sequence token"):
        load(folder)


def test_a_broken_chat_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for message in %}", encoding="utf-8")
    with pytest.raises(PolicyError, match=r"chat template .* can't be filled"):
        load(folder)


def test_a_chat_template_that_leaves_the_message_out(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(LIST_TEMPLATE, encoding="utf-8")

    with pytest.raises(PolicyError, match="leaves out what a user's message says") as told:
        load(folder)

    assert "chat_template.jinja that writes message['content']" in str(told.value)


def test_a_template_that_leaves_replies_out_alone_does_not_tell_how_they_end(folder: Path) -> None:
    template = "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}<|im_start|>{% endfor %}"
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")

    loaded = load(folder)

    assert loaded.reply_end_token_id == loaded.tokenizer.eos_token_id
    assert loaded.eos_token_ids == {loaded.reply_end_token_id}


# The hub


def test_an_unreachable_hub_names_the_ways_out() -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        load("nobody/nothing")
    assert all(way in str(caught.value) for way in ("HF_HOME", "tiny-random", "folder"))


def test_offline_mode_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailableError, match="HF_HUB_OFFLINE"):
        load("nobody/nothing")


def test_a_model_is_fetched_once_and_then_found_in_the_cache(
    saved_tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(saved_tiny_model, tmp_path / "repositories" / "owner" / "tiny")
    said: list[str] = []
    with hub_server(tmp_path / "repositories") as url:
        use_hub(monkeypatch, url)
        first = load_language_model("owner/tiny", device=CPU, dtype=torch.float32, notify=said.append)
    assert len(said) == 1
    assert said[0].startswith("fetching owner/tiny from the Hugging Face hub")
    again = load("owner/tiny")  # the hub is gone
    assert torch.equal(logits(first.model), logits(again.model))
    assert again.model.config.name_or_path == "owner/tiny"


def test_a_gated_model_says_how_to_log_in(
    saved_tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(saved_tiny_model, tmp_path / "owner" / "gated")
    with hub_server(tmp_path, gated=frozenset({"owner/gated"})) as url:
        use_hub(monkeypatch, url)
        with pytest.raises(ModelUnavailableError, match=r"is gated: .*hf auth login"):
            load("owner/gated")


def test_a_name_that_the_hub_does_not_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub_server(tmp_path) as url:
        use_hub(monkeypatch, url)
        with pytest.raises(ModelUnavailableError, match="neither a folder here nor a repository"):
            load("owner/misspelt")


def test_pickles_on_the_hub_are_refused_before_they_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_model(tmp_path / "owner" / "old")
    (tmp_path / "owner" / "old" / "model.safetensors").rename(tmp_path / "owner" / "old" / "pytorch_model.bin")
    with hub_server(tmp_path) as url:
        use_hub(monkeypatch, url)
        with pytest.raises(PolicyError, match="pickle files"):
            load("owner/old")
    assert not list(tmp_path.glob("hub-cache/**/*.bin"))


def test_a_hub_behind_a_proxy_that_cannot_be_used_is_told_with_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    use_hub(monkeypatch, "https://hub.example.org")
    use_proxy(monkeypatch, "socks5://me:secret@proxy.example.org:1080", "ALL_PROXY")
    monkeypatch.setattr("medical_team.network.proxies.find_spec", always(None))

    with pytest.raises(ModelUnavailableError, match=r"proxy\.example\.org that ALL_PROXY names") as caught:
        load("owner/tiny")

    assert "secret" not in str(caught.value)
