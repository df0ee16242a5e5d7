from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from decoding_cases import ARCHITECTURES, WINDOW, a_prompt, model_of
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, Lfm2Config, LlamaConfig
from transformers.cache_utils import DynamicCache, DynamicLayer

from builders import present
from medical_team.policy.decoding_model import (
    DecodingModel,
    PrefixCache,
    RoomyLayer,
    attention_cache,
)
from medical_team.policy.transformers_inside import cache_parameter
from tensors import numbers

ACTIONS = st.lists(st.integers(1, 100) | st.permutations(range(5)), min_size=1, max_size=8)
"""To append so many tokens, or to keep those of these rows that there are, in that order."""


@given(ACTIONS)
def test_it_holds_what_a_dynamic_layer_holds(actions: list[int | list[int]]) -> None:
    ours, theirs = RoomyLayer(), DynamicLayer()
    generator = torch.Generator().manual_seed(0)
    rows = 5
    for action in actions:
        if isinstance(action, int):
            keys, values = torch.randn((2, rows, 2, action, 3), generator=generator)
            returned = ours.update(keys, values)
            expected = cast("Any", theirs).update(keys, values)
            assert torch.equal(returned[0], expected[0])
            assert torch.equal(returned[1], expected[1])
        else:
            kept = torch.tensor([row for row in action if row < rows][: max(1, rows - 1)])
            ours.reorder_cache(kept)
            theirs.reorder_cache(cast("Any", kept))
            rows = len(kept) if theirs.get_seq_length() else rows
        assert ours.get_seq_length() == theirs.get_seq_length()
        assert ours.get_mask_sizes(1) == theirs.get_mask_sizes(1)
        assert ours.keys is None or torch.equal(ours.keys, present(theirs.keys))
        assert ours.values is None or torch.equal(ours.values, present(theirs.values))


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 90)), min_size=1, max_size=4), st.integers(0, 5))
def test_joined_layers_stand_below_each_other_aligned_at_the_newest_column(
    shapes: list[tuple[int, int]], more: int
) -> None:
    parts = [RoomyLayer() for _ in shapes]
    for number, (part, (rows, columns)) in enumerate(zip(parts, shapes, strict=True)):
        part.update(torch.full((rows, 2, columns, 3), 1.0 + number), torch.full((rows, 2, columns, 3), -1.0 - number))
    joined = RoomyLayer()
    joined.join(parts)
    keys = present(joined.keys)
    if more:
        keys, _ = joined.update(torch.full((len(keys), 2, more, 3), 9.0), torch.full((len(keys), 2, more, 3), 9.0))
    width = max(columns for _, columns in shapes)
    expected = [
        [0.0] * (width - columns) + [1.0 + number] * columns + [9.0] * more
        for number, (rows, columns) in enumerate(shapes)
        for _ in range(rows)
    ]
    assert numbers(keys[:, 1, :, 2]) == expected
    assert joined.get_seq_length() == width + more


def test_the_first_columns_can_be_forgotten() -> None:
    layer = RoomyLayer()
    counted = torch.arange(12.0).reshape(2, 1, 6, 1)
    layer.update(counted, -counted)
    layer.drop_columns(4)
    keys, values = layer.update(torch.full((2, 1, 1, 1), 99.0), torch.zeros(2, 1, 1, 1))
    assert numbers(keys[:, 0, :, 0]) == [[4, 5, 99], [10, 11, 99]]
    assert numbers(values[:, 0, :, 0]) == [[-4, -5, 0], [-10, -11, 0]]


def test_it_can_begin_anew() -> None:
    layer = RoomyLayer()
    layer.update(torch.ones(2, 1, 7, 4), torch.ones(2, 1, 7, 4))
    layer.reset()
    keys, _ = layer.update(torch.zeros(3, 1, 2, 4), torch.zeros(3, 1, 2, 4))
    assert numbers(keys) == numbers(torch.zeros(3, 1, 2, 4))


def test_all_layers_get_room_those_with_a_sliding_window_too() -> None:
    for config in (model_of("gemma3").config, LlamaConfig(num_hidden_layers=2)):
        cache = attention_cache(config)
        assert cache is not None
        assert [type(layer) for layer in cache.layers] == [RoomyLayer, RoomyLayer]


def test_models_with_other_layers_get_none() -> None:
    assert attention_cache(Lfm2Config(num_hidden_layers=2, layer_types=["conv", "full_attention"])) is None
    assert attention_cache(GPT2Config()) is not None
    assert len(DynamicCache(config=GPT2Config()).layers) == 12


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("length", [1, WINDOW - 1, WINDOW, 3 * WINDOW])
def test_a_repeated_prefix_is_what_the_model_makes_of_as_many_rows(architecture: str, length: int) -> None:
    model = model_of(architecture)
    prefix = a_prompt(length)
    theirs = DynamicCache()
    with torch.inference_mode():
        model(input_ids=torch.tensor([prefix] * 3), **{str(cache_parameter(model)): theirs})
        ours = PrefixCache(DecodingModel(model), prefix).repeated(3)
    assert ours.get_seq_length() == length
    layers: list[tuple[Any, Any]] = list(zip(ours.layers, theirs.layers, strict=True))
    for our_layer, their_layer in layers:
        assert our_layer.get_mask_sizes(1) == their_layer.get_mask_sizes(1)
        torch.testing.assert_close(our_layer.keys, their_layer.keys, rtol=0, atol=1e-5)
        torch.testing.assert_close(our_layer.values, their_layer.values, rtol=0, atol=1e-5)
