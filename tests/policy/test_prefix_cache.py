"""What prompts have in common, read once, and the caches that grow from it."""

from __future__ import annotations

import pytest
import torch
from decoding_cases import ARCHITECTURES, WINDOW, a_prompt, model_of
from hypothesis import given
from hypothesis import strategies as st
from transformers.cache_utils import DynamicCache

from medical_team.policy.decoding_model import DecodingModel
from medical_team.policy.prefix_cache import PrefixCache, common_prefix_length
from medical_team.policy.transformers_inside import cache_parameter


@given(st.lists(st.lists(st.integers(0, 2), max_size=6).map(tuple), max_size=5))
def test_the_common_prefix_is_the_longest(rows: list[tuple[int, ...]]):
    length = common_prefix_length(rows)
    assert len({row[:length] for row in rows}) <= 1
    if rows and all(len(row) > length for row in rows):
        assert len({row[: length + 1] for row in rows}) > 1
    else:
        assert length == min(map(len, rows), default=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("length", [1, WINDOW - 1, WINDOW, 3 * WINDOW])
def test_a_repeated_prefix_is_what_the_model_makes_of_as_many_rows(architecture: str, length: int):
    model = model_of(architecture)
    prefix = a_prompt(length)
    theirs = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(input_ids=torch.tensor([prefix] * 3), **{cache_parameter(model): theirs})
        ours = PrefixCache(DecodingModel(model), prefix).repeated(3)
    assert ours.get_seq_length() == length
    for our_layer, their_layer in zip(ours.layers, theirs.layers, strict=True):
        assert our_layer.get_mask_sizes(1) == their_layer.get_mask_sizes(1)
        torch.testing.assert_close(our_layer.keys, their_layer.keys, rtol=0, atol=1e-5)
        torch.testing.assert_close(our_layer.values, their_layer.values, rtol=0, atol=1e-5)
