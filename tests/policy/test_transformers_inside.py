"""What we lean on inside transformers: a test for each item of the list, whose failure names the item."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import gguf
import peft
import pytest
import torch
import transformers
from decoding_cases import a_prompt, llama_config, model_of
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import torch as safetensors_torch
from tiny_architectures import TOKENIZER, tiny_model
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel, cache_utils

from builders import present
from medical_team.policy.transformers_inside import (
    CACHE_NAMES,
    Conv1D,
    active_adapter,
    base_model_of,
    cache_of,
    cache_parameter,
    default_cache,
    from_pretrained,
    has_attention_layers,
    has_causal_head,
    keep_rows,
    keeps_a_state,
    name_model,
    read_tensors,
    recomputing_modules,
    takes,
    without_quantisation,
)

VERSION = f"transformers {transformers.__version__}"
PEFT_VERSION = f"peft {peft.__version__}"


def prompt() -> torch.Tensor:
    return torch.tensor([a_prompt(6)])


def test_forward_takes_a_cache_under_one_of_the_known_names() -> None:
    name = cache_parameter(model_of("llama"))
    assert name in CACHE_NAMES, f"{VERSION} no longer takes a cache under any of {CACHE_NAMES}"


def test_an_output_gives_its_cache_back_under_one_of_the_known_names() -> None:
    output = model_of("llama")(input_ids=prompt(), use_cache=True)
    assert cache_of(output) is not None, f"{VERSION} no longer gives a cache back under any of {CACHE_NAMES}"
    assert cache_of(output).get_seq_length() == 6
    assert cache_of(model_of("llama")(input_ids=prompt(), use_cache=False)) is None


def test_a_model_says_whether_it_keeps_a_state() -> None:
    assert hasattr(transformers.PreTrainedModel, "_is_stateful"), f"{VERSION} no longer has _is_stateful"
    assert keeps_a_state(tiny_model("mamba")), f"{VERSION} no longer says of Mamba that it keeps a state"
    assert not keeps_a_state(model_of("llama"))


@pytest.mark.parametrize("model_type", ["llama", "gemma3_text", "lfm2", "mamba", "falcon_h1", "nemotron_h"])
def test_the_default_cache_is_what_the_model_makes(model_type: str) -> None:
    model = tiny_model(model_type)
    default, made = default_cache(model.config), cache_of(model(input_ids=prompt(), use_cache=True))
    kinds = [type(layer).__name__ for layer in made.layers]
    assert kinds == [type(layer).__name__ for layer in default.layers], f"{VERSION}: {model_type} makes another cache"
    assert has_attention_layers(made) == (model_type != "mamba")


def test_a_dynamic_layer_holds_keys_and_values_of_all_tokens() -> None:
    layer: Any = cache_utils.DynamicLayer()
    keys = torch.arange(24.0).reshape(2, 1, 3, 4)
    assert not layer.is_initialized
    assert layer.get_seq_length() == 0
    for end in (3, 6):
        held_keys, held_values = layer.update(keys, -keys)
        names = f"{VERSION} no longer holds DynamicLayer.keys and values as [rows, heads, tokens, width]"
        kept_keys, kept_values = present(layer.keys), present(layer.values)
        assert kept_keys.shape == kept_values.shape == (2, 1, end, 4), names
        assert torch.equal(kept_keys, held_keys), names
        assert torch.equal(kept_values, held_values), names
        assert layer.get_seq_length() == end
        assert layer.is_initialized
    assert layer.get_mask_sizes(1) == (7, 0)


@pytest.mark.parametrize("model_type", ["gemma3_text", "lfm2", "mamba", "falcon_h1"])
def test_reordering_a_cache_keeps_the_chosen_rows(model_type: str) -> None:
    """As a beam search does it; two rows of three go on as if the third had never been."""
    model, name = tiny_model(model_type), cache_parameter(tiny_model(model_type))
    prompts = torch.tensor([a_prompt(6, seed=seed) for seed in range(3)])
    newest = torch.tensor([[20], [30]])
    with torch.inference_mode():
        cache = cache_of(model(input_ids=prompts, use_cache=True))
        keep_rows(cache, torch.tensor([2, 0]))
        reordered = model(input_ids=newest, use_cache=True, **{str(name): cache}).logits[:, -1]
        whole = model(input_ids=torch.cat((prompts[[2, 0]], newest), dim=1), use_cache=False).logits[:, -1]
    assert torch.allclose(reordered, whole, atol=1e-4), f"{VERSION}: Cache.reorder_cache leaves something behind"


def test_what_is_saved_is_called_as_it_was_named(tmp_path: Path) -> None:
    model = tiny_model("llama")
    name_model(model, "owner/model")
    adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj"], task_type=TaskType.CAUSAL_LM))
    adapted.save_pretrained(str(tmp_path), save_embedding_layers=False)
    base = json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert base == "owner/model", f"{VERSION} no longer names a base after config._name_or_path"


def test_models_that_write_text_are_told_from_others() -> None:
    named = f"{VERSION} no longer lists causal models in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"
    assert has_causal_head("llama"), named
    assert not has_causal_head("vit"), named


def test_loading_tells_which_weights_are_missing_and_renames_others(tmp_path: Path) -> None:
    cast("Any", tiny_model("llama")).save_pretrained(tmp_path)
    weights = read_tensors(tmp_path / "model.safetensors")
    del weights["model.norm.weight"]
    cast("Any", safetensors_torch).save_file(
        {f"inner.{key}": value for key, value in weights.items()}, tmp_path / "model.safetensors", {"format": "pt"}
    )
    loaded: Any = from_pretrained(
        AutoModelForCausalLM, tmp_path, output_loading_info=True, key_mapping={"^inner\\.": ""}
    )
    _, information = loaded
    assert set(information["missing_keys"]) == {"model.norm.weight"}, f"{VERSION}: missing_keys or key_mapping changed"


def test_weights_from_gguf_can_be_saved(tmp_path: Path) -> None:
    model = tiny_model("llama", num_key_value_heads=4)
    write_gguf(model, tmp_path / "model.gguf")
    read = from_pretrained(AutoModelForCausalLM, tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    fresh: Any = without_quantisation(read)
    fresh.save_pretrained(tmp_path / "saved")
    again = from_pretrained(AutoModelForCausalLM, tmp_path / "saved")
    for name, weight in read.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), f"{VERSION}: {name} of a GGUF file is not saved"


def write_gguf(model: PreTrainedModel, path: Path) -> None:
    """The least that transformers reads: shape, vocabulary and weights."""
    config: Any = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for key, weight in model.state_dict().items():
        name = names.get_name(key, try_suffixes=(".weight",))
        assert name is not None, key
        writer.add_tensor(name, weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_modules_that_recompute_have_a_flag() -> None:
    model = tiny_model("llama")
    assert not list(recomputing_modules(model))
    cast("Any", model).gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    found = f"{VERSION} no longer marks modules that recompute with gradient_checkpointing"
    assert len(list(recomputing_modules(model))) >= model.config.num_hidden_layers, found


def test_gpt2_has_transposed_linear_layers() -> None:
    layer = tiny_model("gpt2").get_submodule("transformer.h.0.mlp.c_fc")
    assert isinstance(layer, Conv1D), f"{VERSION} no longer builds GPT-2 of Conv1D"
    assert layer.weight.shape == (32, cast("Any", layer).nf)


def test_a_saved_tokenizer_speaks_of_itself_in_known_words(tmp_path: Path) -> None:
    cast("Any", TOKENIZER).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "tokenizer_config.json").read_text())
    words = f"{VERSION} writes another tokenizer_config.json: {sorted(written)}"
    assert written["tokenizer_class"] in ("TokenizersBackend", "PreTrainedTokenizerFast"), words
    assert written.keys() & {"extra_special_tokens", "additional_special_tokens", "eos_token"}, words


def an_adapted_model() -> PeftModel:
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type=TaskType.CAUSAL_LM, init_lora_weights=False)
    return cast("PeftModel", get_peft_model(tiny_model("llama"), config))


def test_a_base_model_computes_with_the_adapter_inside_of_it() -> None:
    adapted = an_adapted_model()
    base = base_model_of(adapted)
    inside = f"{PEFT_VERSION} no longer has adapters inside of get_base_model()"
    assert isinstance(base, LlamaForCausalLM), inside
    assert torch.equal(base(input_ids=prompt()).logits, adapted(input_ids=prompt()).logits), inside
    assert base_model_of(base) is base
    with adapted.disable_adapter():
        assert not torch.equal(base(input_ids=prompt()).logits, an_adapted_model()(input_ids=prompt()).logits), inside


def test_loading_an_adapter_tells_what_is_missing_and_what_has_no_place(tmp_path: Path) -> None:
    adapted: Any = an_adapted_model()
    library: Any = peft
    weights = library.get_peft_model_state_dict(adapted)
    absent = sorted(weights)[0]
    changed = {"base_model.model.elsewhere.lora_A.weight": weights.pop(absent), **weights}
    found = library.set_peft_model_state_dict(adapted, changed)
    told = f"{PEFT_VERSION} no longer tells missing_keys and unexpected_keys"
    assert [key for key in found.unexpected_keys if "elsewhere" in key], told
    assert [key for key in found.missing_keys if ".lora_" in key], told
    adapted.save_pretrained(str(tmp_path), save_embedding_layers=False)
    again = adapted.load_adapter(str(tmp_path), "default")
    assert not again.unexpected_keys, told
    assert hasattr(again, "missing_keys"), told


def test_an_adapted_layer_holds_what_was_there_before() -> None:
    layers = [module for module in an_adapted_model().modules() if isinstance(module, LoraLayer)]
    kinds = f"{PEFT_VERSION} no longer derives adapted layers from LoraLayer, around get_base_layer()"
    assert len(layers) == 2, kinds
    assert all(isinstance(cast("BaseTunerLayer", layer).get_base_layer(), torch.nn.Linear) for layer in layers), kinds


def test_the_configuration_of_an_adapter_tells_its_targets() -> None:
    adapted = an_adapted_model()
    config = adapted.peft_config[active_adapter(adapted)]
    assert isinstance(config, LoraConfig)
    assert config.target_modules is not None
    assert set(config.target_modules) == {"q_proj"}, f"{PEFT_VERSION} no longer keeps target_modules in peft_config"
    assert not config.target_parameters, f"{PEFT_VERSION} no longer has target_parameters"


class Wrapped(LlamaForCausalLM):
    def forward(self, *args: Any, **kwargs: Any):
        return super().forward(*args, **kwargs)


class OfTheOldSchool(LlamaForCausalLM):
    """As a model's own code was written before transformers 5.24."""

    def forward(  # type: ignore[override] - models of others take what they like
        self,
        input_ids: Any = None,
        past_key_values: transformers.DynamicCache | None = None,
        **kwargs: Any,
    ):
        kwargs[str(cache_parameter(model_of("llama")))] = past_key_values
        return super().forward(input_ids=input_ids, **kwargs)


class Narrow(LlamaForCausalLM):
    def forward(self, input_ids: Any):  # type: ignore[override] - models of others take what they like
        return super().forward(input_ids=input_ids)


@pytest.mark.parametrize("kind", [Wrapped, OfTheOldSchool])
def test_a_wrapper_that_hands_everything_on_takes_what_its_class_takes(kind: type[LlamaForCausalLM]) -> None:
    model = kind(llama_config()).eval()
    name = cache_parameter(model)
    assert name == (cache_parameter(model_of("llama")) if kind is Wrapped else "past_key_values")
    assert takes(model, "logits_to_keep")
    first = model(input_ids=prompt(), use_cache=True, **{str(name): None})
    second = model(input_ids=prompt(), use_cache=True, **{str(name): cache_of(first)})
    assert cache_of(second).get_seq_length() == 12


def test_a_forward_that_hands_nothing_on_takes_what_it_names() -> None:
    model = Narrow(llama_config()).eval()
    assert cache_parameter(model) is None
    assert takes(model, "input_ids")
    assert not takes(model, "logits_to_keep")


def test_a_forward_that_was_replaced_after_the_model_was_made_counts() -> None:
    model = LlamaForCausalLM(llama_config())
    forward: Callable[..., Any] = model.forward

    def handing_on(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    model.forward = handing_on
    assert cache_parameter(model) == cache_parameter(model_of("llama"))
    model.forward = lambda input_ids: forward(input_ids)  # type: ignore[assignment] - models of others take what they like
    assert cache_parameter(model) is None
