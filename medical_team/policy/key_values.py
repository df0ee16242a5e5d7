"""The cache of keys and values that decoding fills: rows can be selected, and a step writes one column.

transformers' own ``DynamicLayer`` copies all that it holds for every new token. For a small model, or a long prompt,
that copy takes longer than the rest of the step. Here a layer keeps spare columns, so most tokens are written in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from .transformers_inside import count_as, default_cache

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_SPARE_COLUMNS = 64


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer, [rows, heads, tokens, width], in tensors with spare columns for tokens to come."""

    def __init__(self) -> None:
        super().__init__()
        self._key_room: torch.Tensor | None = None
        self._value_room: torch.Tensor | None = None

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Begin anew, without a token."""
        super().lazy_initialization(key_states, value_states)
        self._key_room = self._value_room = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of new tokens; the states of all tokens so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        self._key_room = _written(self._key_room, key_states, start)
        self._value_room = _written(self._value_room, value_states, start)
        self.keys, self.values = self._key_room[:, :, :end], self._value_room[:, :, :end]
        return self.keys, self.values

    def join(self, parts: Sequence[DynamicLayer]) -> None:
        """Hold, in place of what is held, the rows of ``parts``, one below the other and aligned at their last column.

        What is left of a shorter part is zero: never seen if the mask hides it, and no hidden NaN either.
        """
        super().lazy_initialization(cast("torch.Tensor", parts[0].keys), cast("torch.Tensor", parts[0].values))
        self._key_room = _aligned([cast("torch.Tensor", part.keys) for part in parts])
        self._value_room = _aligned([cast("torch.Tensor", part.values) for part in parts])
        end = self._key_room.shape[2] - _SPARE_COLUMNS
        self.keys, self.values = self._key_room[:, :, :end], self._value_room[:, :, :end]

    def drop_columns(self, count: int) -> None:
        """Forget the first ``count`` columns of every row."""
        if self._key_room is None or self._value_room is None:
            return
        end = self.get_seq_length()
        self._key_room, self._value_room = self._key_room[:, :, count:], self._value_room[:, :, count:]
        self.keys, self.values = self._key_room[:, :, : end - count], self._value_room[:, :, : end - count]

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep the rows ``indices`` alone, in that order. They are copied, together with the room beside them."""
        if self._key_room is None or self._value_room is None:
            return
        length = self.get_seq_length()
        self._key_room = self._key_room.index_select(0, indices)
        self._value_room = self._value_room.index_select(0, indices)
        self.keys, self.values = self._key_room[:, :, :length], self._value_room[:, :, :length]


def attention_cache(config: PreTrainedConfig) -> Cache | None:
    """An empty cache for a model that keeps nothing but keys and values of its tokens.

    None for any other model: one with recurrent or convolutional layers, or with layers that share a cache. It brings
    a cache of its own, whose rows can't be selected safely: a hybrid layer, for example, would select its keys and
    forget its recurrent state.
    """
    plain = default_cache(config)
    if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in plain.layers):
        return None
    return Cache(layers=[RoomyLayer() if type(layer) is DynamicLayer else layer for layer in plain.layers])


def has_sliding_windows(cache: Cache) -> bool:
    """Whether a layer of :func:`attention_cache` sees the last tokens only."""
    return any(isinstance(layer, DynamicSlidingWindowLayer) for layer in _layers(cache))


def repeat_row(one_row: Cache, into: Cache, rows: int) -> None:
    """Fill ``into``, which is empty, with ``rows`` times what ``one_row`` holds for its single row."""
    for source, target in zip(_layers(one_row), _layers(into), strict=True):
        keys, values = cast("torch.Tensor", source.keys), cast("torch.Tensor", source.values)
        target.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1))
        if isinstance(target, DynamicSlidingWindowLayer):
            count_as(target, source.get_seq_length())


def join_rows(parts: Sequence[Cache], into: Cache) -> None:
    """Fill ``into`` with the rows of ``parts``, one below the other and aligned at their last column.

    All are caches of :func:`attention_cache` without sliding windows; ``into`` is empty.
    """
    for target, *sources in zip(_layers(into), *map(_layers, parts), strict=True):
        cast("RoomyLayer", target).join(sources)


def drop_columns(cache: Cache, count: int) -> None:
    """Forget the first ``count`` columns of every row of ``cache``, one of :func:`attention_cache` without windows."""
    for layer in _layers(cache):
        cast("RoomyLayer", layer).drop_columns(count)


def _layers(cache: Cache) -> list[DynamicLayer]:
    """The layers of an :func:`attention_cache`."""
    return cast("list[DynamicLayer]", cache.layers)


def _aligned(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """A room, with spare columns, that holds ``parts``, each [rows, heads, columns, width], aligned at the right."""
    rows, end = sum(part.shape[0] for part in parts), max(part.shape[2] for part in parts)
    room = parts[0].new_empty((rows, parts[0].shape[1], end + _SPARE_COLUMNS, parts[0].shape[3]))
    row = 0
    for part in parts:
        block = room[row : row + part.shape[0]]
        start = end - part.shape[2]
        block[:, :, :start] = 0
        block[:, :, start:end] = part
        row += part.shape[0]
    return room


def _written(room: torch.Tensor | None, new: torch.Tensor, start: int) -> torch.Tensor:
    """The room, or a larger one, with ``new`` in its columns from ``start`` on."""
    rows, heads, columns, width = new.shape
    end = start + columns
    if room is None or end > room.shape[2]:
        larger = new.new_empty((rows, heads, end + _SPARE_COLUMNS, width))
        if room is not None:
            larger[:, :, :start] = room[:, :, :start]
        room = larger
    room[:, :, start:end] = new
    return room
