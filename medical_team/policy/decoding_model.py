"""A causal language model as decoding sees it: tokens in, logits of the next token out, with a cache of keys and
values of which rows can be selected, and the common beginning of several prompts read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer

from ..errors import PolicyError
from .forward_pass import ForwardPass, OwnCache, own_cache
from .transformers_inside import base_model_of, count_as, default_cache, keep_rows, keeps_a_state

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel
    from transformers.cache_utils import Cache


_SPARE_COLUMNS = 64


class FilledLayer(Protocol):
    """What is used of a cache's layer that holds the keys and values of tokens."""

    keys: torch.Tensor
    values: torch.Tensor

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor) -> object:
        """Append the states of new tokens."""
        ...

    def get_seq_length(self) -> int:
        """How many tokens were seen."""
        ...


class RoomyLayer(DynamicLayer):
    """Keys and values of one layer, [rows, heads, tokens, width], in tensors with spare columns for tokens to come."""

    def __init__(self) -> None:
        cast("Any", super()).__init__()
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

    def join(self, parts: Sequence[FilledLayer]) -> None:
        """Hold, in place of what is held, the rows of ``parts``, one below the other and aligned at their last column.

        What is left of a shorter part is zero: never seen if the mask hides it, and no hidden NaN either.
        """
        super().lazy_initialization(parts[0].keys, parts[0].values)
        self._key_room = _aligned([part.keys for part in parts])
        self._value_room = _aligned([part.values for part in parts])
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
        target.update(source.keys.expand(rows, -1, -1, -1), source.values.expand(rows, -1, -1, -1))
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


def _layers(cache: Cache) -> list[FilledLayer]:
    """The layers of an :func:`attention_cache`."""
    return cast("list[FilledLayer]", cache.layers)


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


class DecodingModel:
    """A causal language model, and how it can be fed.

    A model that keeps nothing but keys and values of its tokens gets a cache of ours, whose rows can be selected and
    whose beginning can be shared. Any other model makes its own cache, which is handed on as it is.
    A model without one reads everything again for each token.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        base = base_model_of(model)
        self._model = base
        self._forward = ForwardPass(base)
        example = self.new_cache()
        self._own: OwnCache | None = own_cache(ForwardPass(base)) if example is None else None
        self.name = self._forward.name
        self.reads_again = example is None and self._own is None
        """Whether there is no cache, so that all is read again for each token."""
        self.max_rows = None if self._own is None else self._own.max_rows
        """How many rows can be read together; None: any number."""
        self.can_pad = self._forward.takes_mask if self._own is None else self._own.can_pad
        """Whether prompts of different lengths can be read together, with padding before the shorter ones."""
        self.can_select_rows = self._own is None or self._own.can_select_rows
        self.can_share_prefix = example is not None
        self.can_pad_anywhere = (
            example is not None and self.can_pad and not has_sliding_windows(example) and self._forward.takes_positions
        )
        """Whether padding may stand between cached tokens and the rest of a row, or be put before it later. A sliding
        window counts columns, so padding would use it up, silently; and a model that isn't told positions may count
        padding, too."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._model.device

    @property
    def tokens_read(self) -> int:
        """How many tokens went through the model so far, padding included."""
        return self._forward.tokens_read

    def new_cache(self) -> Cache | None:
        """An empty cache of ours; None if the model needs another one or takes none."""
        if self._forward.cache_name is None or keeps_a_state(self._model):
            return None
        return attention_cache(self._model.config)

    def select_rows(self, cache: Cache, rows: torch.Tensor) -> None:
        """Keep ``rows`` of ``cache`` alone, in that order; only where :attr:`can_select_rows`."""
        if self._own is None:
            cache.batch_select_indices(rows)
        else:
            keep_rows(cache, rows)

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
        if cache is None and self._own is not None and self._own.is_handed_in:
            cache = default_cache(self._model.config)
        logits_BV, made = self._forward(
            input_ids_BT[:, -new_columns:],
            attention_mask_BT,
            cache,
            is_masked=cached_columns == 0 or self._own is None or self._own.has_attention,
        )
        if cached_columns == 0 and self._own is None and cache is not None:
            self._raise_if_not_filled(cache, new_columns)
        return logits_BV, cache if made is None else made

    def _raise_if_not_filled(self, cache: Cache, columns: int) -> None:
        if cache.get_seq_length() != columns:
            raise PolicyError(
                f"{self.name} doesn't fill the cache that it is given, so its replies would be wrong. Take a model of "
                "another architecture."
            )


class PrefixCache:
    """Keys and values of ``token_ids`` under ``model``, which is run over them here.

    Raises:
        PolicyError: ``model`` can't share a prefix (:attr:`.decoding_model.DecodingModel.can_share_prefix`).
    """

    def __init__(self, model: DecodingModel, token_ids: Sequence[int]) -> None:
        self.token_ids = tuple(token_ids)
        self._model = model
        self._one_row = self._new_cache()
        input_ids_1P = torch.tensor([token_ids], device=model.device)
        model.next_logits(input_ids_1P, torch.ones_like(input_ids_1P), self._one_row, 0)

    def repeated(self, rows: int) -> Cache:
        """A cache of its own for ``rows`` rows that all begin with the prefix."""
        cache = self._new_cache()
        repeat_row(self._one_row, cache, rows)
        return cache

    def _new_cache(self) -> Cache:
        cache = self._model.new_cache()
        if cache is None:
            raise PolicyError("This model has no cache whose beginning can be shared.")
        return cache


def common_prefix_length(rows: Sequence[tuple[int, ...]]) -> int:
    """How many tokens at the start all ``rows`` have in common; 0 for no rows."""
    if not rows:
        return 0
    # Whatever the first and the last in lexical order share lies between them in all others too.
    first, last = min(rows), max(rows)
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return place
    return min(len(first), len(last))
