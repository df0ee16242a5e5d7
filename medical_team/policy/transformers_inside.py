"""What we lean on inside transformers, PEFT and torch beyond their documented ways, in one place, since any release
may change it.

Each item has a test of its own in ``tests/policy/test_transformers_inside.py``, whose failure names the item.

Caches:

- ``forward`` takes and gives back a cache as ``cache`` (transformers 5.24); before that as ``past_key_values``, or
  ``cache_params`` for recurrent models; as ``state`` for RWKV. :func:`cache_parameter`, :func:`cache_of`,
  :func:`takes`; for :mod:`.forward_pass`.
- ``PreTrainedModel._is_stateful`` says that something beside keys and values is kept. :func:`keeps_a_state`; for
  :mod:`.decoding_model` and :mod:`.own_cache`.
- ``DynamicCache(config=...)`` has the layers that the model fills, of the classes of ``cache_utils``.
  :func:`default_cache`, :func:`is_ordinary`; for the same and :mod:`.key_values`.
- ``DynamicLayer`` holds ``keys`` and ``values``, [rows, heads, tokens, width], and is told of new ones by ``update``.
  :mod:`.key_values` has a layer derived from it.
- ``DynamicSlidingWindowLayer`` counts all tokens in ``cumulative_length``. :func:`count_as`; for :mod:`.key_values`.
- ``Cache.reorder_cache`` keeps chosen rows in every layer of ``cache_utils``, recurrent states included.
  :func:`keep_rows`; for :mod:`.decoding_model`.

Models:

- ``config._name_or_path`` is what saved models and adapters name as their base. :func:`name_model`; for whatever makes
  or loads a model.
- ``MODEL_FOR_CAUSAL_LM_MAPPING_NAMES`` has the model types with a head that writes text. :func:`has_causal_head`; for
  :mod:`.model_folder`.
- ``from_pretrained`` tells ``missing_keys`` with ``output_loading_info``, and renames by ``key_mapping``.
  :mod:`.loading`.
- A model that was read with ``gguf_file`` holds whole weights, and a ``quantization_config`` that keeps it from being
  saved. :func:`without_quantisation`; for :mod:`.smollm2`.
- A module that can recompute its activations has a flag ``gradient_checkpointing`` and looks at ``training``.
  :func:`recomputing_modules`; for :mod:`.gradient_checkpointing`.
- torch's dropout layers are derived from ``_DropoutNd`` and look at ``p``. :func:`is_dropout`; for :mod:`.dropout`.
- GPT-2 and its kin have ``Conv1D`` for linear layers, ``nf`` wide, whose weight is transposed. :data:`Conv1D`; for
  :mod:`.adapter`.
- Saved tokenizers call themselves ``TokenizersBackend`` and list ``extra_special_tokens``, which transformers 4 doesn't
  read. :mod:`.export`.

PEFT:

- A model with an adapter computes the same as its base model, within which the adapter's layers are.
  :func:`base_model_of`; for :mod:`.decoding_model` and :mod:`.trial`.
- ``set_peft_model_state_dict`` and ``load_adapter`` tell ``missing_keys`` and ``unexpected_keys``. :mod:`.policy`,
  :mod:`.merging`.
- ``LoraLayer`` is what every adapted layer is derived from; ``get_base_layer`` is what was there before.
  :mod:`.merging`.
- Every adapted layer turns its input into the adapter's precision unless ``cast_input_dtype_enabled`` is False.
  :mod:`.mixed_precision`.
- ``peft_config`` holds the configuration that PEFT made of ours, with ``target_modules`` and, for experts in one
  parameter, ``target_parameters``. :mod:`.adapter`.
- Several adapters stand on one model under names, which are part of their parameters' names; ``set_adapter`` says which
  one computes, and lets its parameters want gradients unless ``inference_mode`` is given. ``save_pretrained`` writes an
  adapter that isn't called ``default`` into a folder of its name. :mod:`.policy`, :mod:`.adapter`.
- ``save_embedding_layers=False`` keeps ``save_pretrained`` from asking the hub. :mod:`.policy`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import torch
from peft import PeftModel
from torch.nn.modules.dropout import _DropoutNd  # pyright: ignore[reportPrivateUsage]
from transformers import cache_utils
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.pytorch_utils import Conv1D as Conv1D

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

CACHE_NAMES = ("cache", "past_key_values", "cache_params", "state")
"""Newest first: newer outputs still answer to the old names, with a warning."""

RECURRENT_LAYERS = (
    "LinearAttentionLayer",
    "LinearAttentionAndFullAttentionLayer",
    "LinearAttentionAndSlidingWindowAttentionLayer",
)
ATTENTION_LAYERS = ("DynamicLayer", "DynamicSlidingWindowLayer", "DynamicIndexedLayer", "DummyLayer")
"""The classes of ``cache_utils`` that a :class:`DynamicCache` is made of, by name: no release has all of them."""


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


def keeps_a_state(model: PreTrainedModel) -> bool:
    """Whether ``model`` says that it keeps something else than keys and values of its tokens."""
    return bool(getattr(model, "_is_stateful", False))


def default_cache(config: PreTrainedConfig) -> DynamicCache:
    """The empty cache that ``generate`` would hand to a model of ``config``."""
    return DynamicCache(config=config)


def is_ordinary(cache: object) -> bool:
    """Whether ``cache`` is a :class:`DynamicCache` of layers that transformers itself defines for all models."""
    known = _classes(*ATTENTION_LAYERS, *RECURRENT_LAYERS)
    return type(cache) is DynamicCache and all(type(layer) in known for layer in cache.layers)


def has_recurrent_layers(cache: Cache) -> bool:
    """Whether a layer of ``cache`` holds a state that doesn't grow with the tokens."""
    return any(isinstance(layer, _classes(*RECURRENT_LAYERS)) for layer in cache.layers)


def has_attention_layers(cache: Cache) -> bool:
    """Whether a layer of ``cache`` holds keys and values of tokens."""
    return any(isinstance(layer, DynamicLayer) for layer in cache.layers)


def keep_rows(cache: Cache, rows: torch.Tensor) -> None:
    """Keep ``rows`` of an ordinary ``cache`` alone, in that order, as a beam search would."""
    cache.reorder_cache(rows)  # type: ignore[arg-type]


def count_as(layer: DynamicSlidingWindowLayer, tokens: int) -> None:
    """Have ``layer``, which holds a window alone, count ``tokens`` in all: this decides what the mask is made for."""
    layer.cumulative_length = tokens


def name_model(model: PreTrainedModel, name: str) -> None:
    """Have what is saved of ``model`` call it ``name``: where it was loaded from is a path of this machine."""
    model.config._name_or_path = name
    model.name_or_path = name


def has_causal_head(model_type: str) -> bool:
    """Whether transformers has a causal language model of ``model_type``."""
    return model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def without_quantisation(read: PreTrainedModel) -> PreTrainedModel:
    """The same weights in a fresh model: one that was read from GGUF refuses to be saved."""
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    with torch.device("meta"):
        fresh = type(read)(type(read.config)(**settings))
    fresh.load_state_dict(read.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.generation_config = read.generation_config
    return fresh


def recomputing_modules(model: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """The modules of ``model`` that recompute their activations while they are in training mode."""
    return (module for module in model.modules() if vars(module).get("gradient_checkpointing", False))


def is_dropout(module: torch.nn.Module) -> TypeGuard[_DropoutNd]:
    """Whether ``module`` drops with its probability ``p``."""
    return isinstance(module, _DropoutNd)


def base_model_of(model: torch.nn.Module) -> PreTrainedModel:
    """``model``, or what PEFT has wrapped: an adapter is inside of its layers, and the wrapper only costs time."""
    return cast("PreTrainedModel", model.get_base_model() if isinstance(model, PeftModel) else model)


def _classes(*names: str) -> tuple[type, ...]:
    return tuple(getattr(cache_utils, name) for name in names if hasattr(cache_utils, name))


def _forward_parameters(model: PreTrainedModel) -> Iterator[frozenset[str]]:
    """Of ``forward`` as it is called; then, as long as it hands on any keyword, of the class's next in line."""
    wrapped = [vars(kind)["forward"] for kind in type(model).__mro__ if "forward" in vars(kind)]
    # The model's own may have been replaced after it was made.
    for forward in [model.forward, *wrapped]:
        parameters = inspect.signature(forward).parameters
        yield frozenset(parameters)
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            return
