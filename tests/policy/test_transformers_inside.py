"""What we lean on inside transformers: a test for each item of the list, whose failure names the item."""

from __future__ import annotations

import pytest
import torch
import transformers
from decoding_cases import a_prompt, model_of
from tiny_architectures import tiny_model
from transformers import LlamaForCausalLM, cache_utils

from medical_team.policy.transformers_inside import (
    ATTENTION_LAYERS,
    CACHE_NAMES,
    RECURRENT_LAYERS,
    cache_of,
    cache_parameter,
    count_as,
    default_cache,
    has_attention_layers,
    has_recurrent_layers,
    is_ordinary,
    keep_rows,
    keeps_a_state,
    takes,
)

VERSION = f"transformers {transformers.__version__}"


def prompt() -> torch.Tensor:
    return torch.tensor([a_prompt(6)])


def test_forward_takes_a_cache_under_one_of_the_known_names():
    name = cache_parameter(model_of("llama"))
    assert name in CACHE_NAMES, f"{VERSION} no longer takes a cache under any of {CACHE_NAMES}"


def test_an_output_gives_its_cache_back_under_one_of_the_known_names():
    output = model_of("llama")(input_ids=prompt(), use_cache=True)
    assert cache_of(output) is not None, f"{VERSION} no longer gives a cache back under any of {CACHE_NAMES}"
    assert cache_of(output).get_seq_length() == 6
    assert cache_of(model_of("llama")(input_ids=prompt(), use_cache=False)) is None


def test_a_model_says_whether_it_keeps_a_state():
    assert hasattr(transformers.PreTrainedModel, "_is_stateful"), f"{VERSION} no longer has _is_stateful"
    assert keeps_a_state(tiny_model("mamba")), f"{VERSION} no longer says of Mamba that it keeps a state"
    assert not keeps_a_state(model_of("llama"))


def test_the_layers_of_caches_have_their_names():
    absent = [name for name in (*ATTENTION_LAYERS, *RECURRENT_LAYERS) if not hasattr(cache_utils, name)]
    # The newer ones may be missing from an older release.
    assert not set(absent) - {"DynamicIndexedLayer"}, f"{VERSION} no longer has the cache layers {absent}"


@pytest.mark.parametrize("model_type", ["llama", "gemma3_text", "lfm2", "mamba", "falcon_h1", "nemotron_h"])
def test_the_default_cache_is_what_the_model_makes(model_type: str):
    model = tiny_model(model_type)
    default, made = default_cache(model.config), cache_of(model(input_ids=prompt(), use_cache=True))
    kinds = [type(layer).__name__ for layer in made.layers]
    assert kinds == [type(layer).__name__ for layer in default.layers], f"{VERSION}: {model_type} makes another cache"
    assert is_ordinary(made), f"{VERSION} makes an unknown cache for {model_type}: {kinds}"
    assert has_recurrent_layers(made) == (model_type not in ("llama", "gemma3_text"))
    assert has_attention_layers(made) == (model_type != "mamba")


def test_a_cache_of_the_models_own_making_is_not_ordinary():
    assert not is_ordinary(cache_of(tiny_model("minimax")(input_ids=prompt(), use_cache=True)))
    assert not is_ordinary(cache_of(tiny_model("rwkv")(input_ids=prompt(), use_cache=True)))


def test_a_dynamic_layer_holds_keys_and_values_of_all_tokens():
    layer = cache_utils.DynamicLayer()
    keys = torch.arange(24.0).reshape(2, 1, 3, 4)
    assert not layer.is_initialized
    assert layer.get_seq_length() == 0
    for end in (3, 6):
        held_keys, held_values = layer.update(keys, -keys)
        names = f"{VERSION} no longer holds DynamicLayer.keys and values as [rows, heads, tokens, width]"
        assert layer.keys.shape == layer.values.shape == (2, 1, end, 4), names
        assert torch.equal(layer.keys, held_keys), names
        assert torch.equal(layer.values, held_values), names
        assert layer.get_seq_length() == end
        assert layer.is_initialized
    assert layer.get_mask_sizes(1) == (7, 0)


def test_a_sliding_layer_counts_all_tokens():
    layer = cache_utils.DynamicSlidingWindowLayer(sliding_window=4)
    layer.update(torch.zeros(1, 1, 9, 2), torch.zeros(1, 1, 9, 2))
    assert layer.cumulative_length == 9, f"{VERSION} no longer counts in DynamicSlidingWindowLayer.cumulative_length"
    count_as(layer, 20)
    assert layer.get_seq_length() == 20
    assert layer.get_mask_sizes(1) == (4, 17)


@pytest.mark.parametrize("model_type", ["gemma3_text", "lfm2", "mamba", "falcon_h1"])
def test_reordering_a_cache_keeps_the_chosen_rows(model_type: str):
    """As a beam search does it; two rows of three go on as if the third had never been."""
    model, name = tiny_model(model_type), cache_parameter(tiny_model(model_type))
    prompts = torch.tensor([a_prompt(6, seed=seed) for seed in range(3)])
    newest = torch.tensor([[20], [30]])
    with torch.inference_mode():
        cache = cache_of(model(input_ids=prompts, use_cache=True))
        keep_rows(cache, torch.tensor([2, 0]))
        reordered = model(input_ids=newest, use_cache=True, **{name: cache}).logits[:, -1]
        whole = model(input_ids=torch.cat((prompts[[2, 0]], newest), dim=1), use_cache=False).logits[:, -1]
    assert torch.allclose(reordered, whole, atol=1e-4), f"{VERSION}: Cache.reorder_cache leaves something behind"


class Wrapped(LlamaForCausalLM):
    def forward(self, *args, **kwargs):  # type: ignore[override]
        return super().forward(*args, **kwargs)


class OfTheOldSchool(LlamaForCausalLM):
    """As a model's own code was written before transformers 5.24."""

    def forward(self, input_ids=None, past_key_values=None, **kwargs):  # type: ignore[override]
        kwargs[str(cache_parameter(model_of("llama")))] = past_key_values
        return super().forward(input_ids=input_ids, **kwargs)


class Narrow(LlamaForCausalLM):
    def forward(self, input_ids):  # type: ignore[override]
        return super().forward(input_ids=input_ids)


@pytest.mark.parametrize("kind", [Wrapped, OfTheOldSchool])
def test_a_wrapper_that_hands_everything_on_takes_what_its_class_takes(kind: type[LlamaForCausalLM]):
    model = kind(model_of("llama").config).eval()
    name = cache_parameter(model)
    assert name == (cache_parameter(model_of("llama")) if kind is Wrapped else "past_key_values")
    assert takes(model, "logits_to_keep")
    first = model(input_ids=prompt(), use_cache=True, **{name: None})
    second = model(input_ids=prompt(), use_cache=True, **{name: cache_of(first)})
    assert cache_of(second).get_seq_length() == 12


def test_a_forward_that_hands_nothing_on_takes_what_it_names():
    model = Narrow(model_of("llama").config).eval()
    assert cache_parameter(model) is None
    assert takes(model, "input_ids")
    assert not takes(model, "logits_to_keep")


def test_a_forward_that_was_replaced_after_the_model_was_made_counts():
    model = LlamaForCausalLM(model_of("llama").config)
    forward = model.forward
    model.forward = lambda *args, **kwargs: forward(*args, **kwargs)
    assert cache_parameter(model) == cache_parameter(model_of("llama"))
    model.forward = lambda input_ids: forward(input_ids)  # type: ignore[assignment]
    assert cache_parameter(model) is None
