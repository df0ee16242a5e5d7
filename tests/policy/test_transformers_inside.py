"""What we lean on inside transformers: a test for each item of the list, whose failure names the item."""

from __future__ import annotations

import pytest
import torch
import transformers
from decoding_cases import a_prompt, model_of
from transformers import LlamaForCausalLM

from medical_team.policy.transformers_inside import CACHE_NAMES, cache_of, cache_parameter, takes

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
