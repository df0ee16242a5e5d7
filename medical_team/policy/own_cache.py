"""What a model with a cache of its own lets be done to it, found out by trying with a few tokens.

transformers says of a model that it keeps something, but not what, nor whether several rows or padding agree with it;
some models in it are silently wrong for a batch. So a cache is used only where a token that is read with it gets the
same logits as one that is read together with all before it, and rows may leave only where all that the model keeps
lies in transformers' ordinary cache.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers.cache_utils import Cache

from .forward_pass import ForwardPass
from .transformers_inside import (
    default_cache,
    has_attention_layers,
    has_recurrent_layers,
    is_ordinary,
    keeps_a_state,
)
from .trial import COLUMNS, is_same, trial_tokens, whole_logits

_FAILURES = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError)


@dataclass(frozen=True)
class OwnCache:
    """How a cache of the model's own can be treated."""

    is_handed_in: bool
    """Whether it must be made for the model, which fills it but doesn't give it back."""
    max_rows: int | None
    """How many rows it can hold; None: any number."""
    can_pad: bool
    """Whether the mask hides padding before a prompt from all that the model keeps."""
    can_select_rows: bool
    has_attention: bool
    """Whether something in it is as long as the mask; else the mask has nothing to say of a later token."""


_tried: weakref.WeakKeyDictionary[torch.nn.Module, OwnCache | None] = weakref.WeakKeyDictionary()
"""What the models of this process let be done; it doesn't depend on their weights."""


def own_cache(forward: ForwardPass) -> OwnCache | None:
    """The cache that the model makes, or fills; None if it does neither, or if what it then says is not the same."""
    if forward.model not in _tried:
        _tried[forward.model] = _try(forward)
    return _tried[forward.model]


@torch.no_grad()
def _try(forward: ForwardPass) -> OwnCache | None:
    found = _found(forward)
    if found is None:
        return None
    two_rows = trial_tokens(forward, rows=2)
    if _agrees(forward, found, two_rows, padding=0):
        padded = found.can_pad and _agrees(forward, found, two_rows, padding=COLUMNS // 2)
        return replace(found, can_pad=padded)
    if _agrees(forward, found, two_rows[:1], padding=0):
        return replace(found, max_rows=1, can_pad=False)
    return None


def _found(forward: ForwardPass) -> OwnCache | None:
    """What kind of cache there is, by its class, before it is known whether it works."""
    if forward.cache_name is None:
        return None
    token_ids = trial_tokens(forward, rows=1)
    cache: Any = None
    try:
        cache = forward(token_ids, torch.ones_like(token_ids))[1]
    except torch.OutOfMemoryError:
        raise
    except _FAILURES:
        return None
    if cache is None:
        return OwnCache(is_handed_in=True, max_rows=None, can_pad=False, can_select_rows=False, has_attention=True)
    if not isinstance(cache, Cache) or not is_ordinary(cache):
        return OwnCache(is_handed_in=False, max_rows=None, can_pad=False, can_select_rows=False, has_attention=True)
    # A state that the model speaks of and that is not in the cache must be somewhere else.
    is_all = has_recurrent_layers(cache) or not keeps_a_state(forward.model)
    return OwnCache(
        is_handed_in=False,
        max_rows=None,
        can_pad=is_all and forward.takes_mask,
        can_select_rows=is_all,
        has_attention=has_attention_layers(cache),
    )


def _agrees(forward: ForwardPass, kind: OwnCache, token_ids_BN: torch.Tensor, *, padding: int) -> bool:
    """Whether the last two tokens get the same logits one by one as all at once.

    Args:
        forward: the model.
        kind: how its cache is treated.
        token_ids_BN: rows of tokens.
        padding: how many columns of the last row are padding.
    """
    mask_BN = torch.ones_like(token_ids_BN)
    mask_BN[-1, :padding] = 0
    starts, ends = {0: 0, len(token_ids_BN) - 1: padding}, (COLUMNS - 1, COLUMNS)
    cache = default_cache(forward.model.config) if kind.is_handed_in else None
    try:
        # First of all: some models keep a state in themselves, and a pass over all would take it away.
        expected = {
            (row, end): whole_logits(forward, token_ids_BN[row, start:end])
            for row, start in starts.items()
            for end in ends
        }
        _, made = forward(token_ids_BN[:, : ends[0] - 1], mask_BN[:, : ends[0] - 1], cache)
        for end in ends:
            cache = cache if made is None else made
            newest_BN, seen_BN = token_ids_BN[:, end - 1 : end], mask_BN[:, :end]
            logits_BV, made = forward(newest_BN, seen_BN, cache, is_masked=kind.has_attention)
            if not all(is_same(logits_BV[row], expected[row, end]) for row in starts):
                return False
    except torch.OutOfMemoryError:
        raise
    except _FAILURES:
        return False
    return True
