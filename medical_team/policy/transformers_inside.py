"""What we lean on inside transformers, in one place, since any release may change it.

- The name under which ``forward`` takes a cache, and its output gives it back: ``cache`` from transformers 5.24 on,
  ``past_key_values`` before, ``cache_params`` for some recurrent models before. :func:`cache_parameter` and
  :func:`cache_of`, used by :mod:`.decoding_model`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CACHE_NAMES = ("cache", "past_key_values", "cache_params")
"""Newest first: newer outputs still answer to the old names, with a warning."""


def cache_parameter(model: PreTrainedModel) -> str | None:
    """The name under which ``forward`` of ``model`` takes a cache; None if it takes none."""
    for parameters in _forward_parameters(model):
        for name in CACHE_NAMES:
            if name in parameters:
                return name
    return None


def takes(model: PreTrainedModel, parameter: str) -> bool:
    """Whether ``forward`` of ``model`` takes ``parameter`` by name, or hands it on to a class of its that does."""
    return any(parameter in parameters for parameters in _forward_parameters(model))


def cache_of(output: Any) -> Any:
    """The cache that ``output`` of ``forward`` gives back; None if it gives none."""
    for name in CACHE_NAMES:
        cache = getattr(output, name, None)
        if cache is not None:
            return cache
    return None


def _forward_parameters(model: PreTrainedModel) -> Iterator[frozenset[str]]:
    """Of ``forward`` as it is called; then, as long as it hands on any keyword, of the class's next in line."""
    wrapped = [vars(kind)["forward"] for kind in type(model).__mro__ if "forward" in vars(kind)]
    # The model's own may have been replaced after it was made.
    for forward in [model.forward, *wrapped]:
        parameters = inspect.signature(forward).parameters
        yield frozenset(parameters)
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            return
