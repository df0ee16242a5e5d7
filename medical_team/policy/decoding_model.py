"""A causal language model as decoding sees it: tokens in, logits of the next token out, with a cache of keys and
values of which rows can be selected, and the common beginning of several prompts read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from ..errors import PolicyError
from .forward_pass import ForwardPass, OwnCache, hides_padding, own_cache
from .transformers_inside import base_model_of, default_cache, keeps_a_state

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


_SPARE_COLUMNS = 64


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer, [rows, heads, tokens, width], in tensors with spare columns for tokens to come."""

    def __init__(self) -> None:
        cast("Any", super()).__init__()
        self._rooms: list[torch.Tensor] = []
        """Those of the keys and of the values; none before the first token."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Begin anew, without a token."""
        super().lazy_initialization(key_states, value_states)
        self._rooms = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append the states of new tokens; the states of all tokens so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[2]
        states = (key_states, value_states)
        if not self._rooms or end > self._rooms[0].shape[2]:
            rooms = [new.new_empty((*new.shape[:2], end + _SPARE_COLUMNS, new.shape[3])) for new in states]
            for larger, room in zip(rooms, self._rooms, strict=False):
                larger[:, :, :start] = room[:, :, :start]
            self._rooms = rooms
        for room, new in zip(self._rooms, states, strict=True):
            room[:, :, start:end] = new
        self._hold(self._rooms, end)
        return cast("tuple[torch.Tensor, torch.Tensor]", (self.keys, self.values))

    def join(self, parts: Sequence[RoomyLayer]) -> None:
        """Hold, in place of what is held, the rows of ``parts``, one below the other and aligned at their last column.

        What is left of a shorter part is zero: never seen if the mask hides it, and no hidden NaN either.
        """
        held = [(cast("torch.Tensor", part.keys), cast("torch.Tensor", part.values)) for part in parts]
        end = max(keys.shape[2] for keys, _ in held)
        self.lazy_initialization(*held[0])
        self._hold([_aligned(tensors, end) for tensors in zip(*held, strict=True)], end)

    def drop_columns(self, count: int) -> None:
        """Forget the first ``count`` columns of every row."""
        self._hold([room[:, :, count:] for room in self._rooms], self.get_seq_length() - count)

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Keep the rows ``beam_idx`` alone, in that order. They are copied, together with the room beside them."""
        self._hold([room.index_select(0, beam_idx) for room in self._rooms], self.get_seq_length())

    def _hold(self, rooms: list[torch.Tensor], end: int) -> None:
        self._rooms = rooms
        if rooms:
            self.keys, self.values = (room[:, :, :end] for room in rooms)


def _aligned(parts: Sequence[torch.Tensor], end: int) -> torch.Tensor:
    """``parts``, each [rows, heads, columns, width], one below the other and aligned at the column ``end``."""
    return torch.cat([torch.nn.functional.pad(part, (0, 0, end - part.shape[2], _SPARE_COLUMNS)) for part in parts])


def attention_cache(config: PreTrainedConfig) -> Cache | None:
    """An empty cache for a model that keeps nothing but keys and values of its tokens.

    A sliding window keeps all of them too, of which the mask shows the last ones: so rows of different lengths can
    stand below each other. None for any other model: one with recurrent or convolutional layers, or with layers that
    share a cache. It brings a cache of its own, which nobody can come into later.
    """
    layers = default_cache(config).layers
    if any(type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers):
        return None
    return Cache(layers=[RoomyLayer() for _ in layers])


def join_rows(parts: Sequence[Cache], into: Cache) -> None:
    """Fill ``into`` with the rows of ``parts``, one below the other and aligned at their last column.

    All are caches of :func:`attention_cache`; ``into`` is empty.
    """
    for target, *sources in zip(_layers(into), *map(_layers, parts), strict=True):
        target.join(sources)


def drop_columns(cache: Cache, count: int) -> None:
    """Forget the first ``count`` columns of every row of ``cache``, one of :func:`attention_cache`."""
    for layer in _layers(cache):
        layer.drop_columns(count)


def _layers(cache: Cache) -> list[RoomyLayer]:
    return cast("list[RoomyLayer]", cache.layers)


class DecodingModel:
    """A causal language model, and how it can be fed.

    A model that keeps nothing but keys and values of its tokens gets a cache of ours, into which other rows can come
    later, and whose beginning can be shared. Any other model makes its own cache, which is handed on as it is. A model
    without one that works reads everything again for each token.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = base_model_of(model)
        self._forward = ForwardPass(self._model)
        self.name = self._forward.name
        self.can_join = self.new_cache() is not None
        """Whether rows can come in beside others, and prompts share a beginning: it has a cache of ours."""
        # What is tried here is no work of a reply.
        self._own = None if self.can_join else own_cache(ForwardPass(self._model))
        self.reads_again = not self.can_join and self._own is None
        """Whether there is no cache, so that all is read again for each token."""
        self.can_pad = not self.reads_again or hides_padding(self._model)
        """Whether prompts of different lengths can be read together, with padding before the shorter ones."""
        self.can_pad_behind_prefix = (
            self.can_join and self._forward.takes_positions and not any(default_cache(self._model.config).is_sliding)
        )
        """Whether padding may stand between a shared beginning and the rest of a row. A sliding window counts columns,
        so padding would use it up, silently; and a model that isn't told positions may count padding, too."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._model.device

    @property
    def tokens_read(self) -> int:
        """How many tokens went through the model so far, padding included."""
        return self._forward.tokens_read

    def new_cache(self) -> Cache | None:
        """An empty cache of ours; None if the model needs another one, takes none or can't be told what is padding."""
        if self._forward.cache_name is None or not self._forward.takes_mask or keeps_a_state(self._model):
            return None
        return attention_cache(self._model.config)

    def next_logits(
        self, input_ids_BT: torch.Tensor, attention_mask_BT: torch.Tensor, cache: Cache | None, cached_columns: int
    ) -> tuple[torch.Tensor, Cache | None]:
        """Logits of the next token, [B, V], and the cache to hand in with the next one.

        Args:
            input_ids_BT: the tokens so far, padding included; those in the cache may be missing on the left.
            attention_mask_BT: 1 at every token, 0 at padding, with a column for each that is in the cache.
            cache: what holds the first ``cached_columns`` columns, or is empty; None for a model that makes its own.
            cached_columns: 0 at first; afterwards all but the newest.

        Raises:
            PolicyError: the model leaves the cache that it is given empty.
        """
        if self.reads_again:
            return self._forward(input_ids_BT, attention_mask_BT, keeps_cache=False)[0], None
        new_columns = attention_mask_BT.shape[1] - cached_columns
        logits_BV, made = self._forward(
            input_ids_BT[:, -new_columns:],
            attention_mask_BT,
            cache,
            is_masked=cached_columns == 0 or self._own is not OwnCache.STATES,
        )
        if self.can_join and cached_columns == 0 and cache is not None and cache.get_seq_length() != new_columns:
            raise PolicyError(
                f"{self.name} doesn't fill the cache that it is given, so its replies would be wrong. Take a model of "
                "another architecture."
            )
        return logits_BV, cache if made is None else made


class PrefixCache:
    """Keys and values of ``token_ids`` under ``model``, which is run over them here; only where it ``can_join``."""

    def __init__(self, model: DecodingModel, token_ids: Sequence[int]) -> None:
        self.token_ids = tuple(token_ids)
        self._model = model
        self._one_row = cast("Cache", model.new_cache())
        input_ids_1P = torch.tensor([token_ids], device=model.device)
        model.next_logits(input_ids_1P, torch.ones_like(input_ids_1P), self._one_row, 0)

    def repeated(self, rows: int) -> Cache:
        """A cache of its own for ``rows`` rows that all begin with the prefix."""
        cache = cast("Cache", self._model.new_cache())
        for source, target in zip(_layers(self._one_row), _layers(cache), strict=True):
            keys, values = cast("torch.Tensor", source.keys), cast("torch.Tensor", source.values)
            target.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1))
        return cache
