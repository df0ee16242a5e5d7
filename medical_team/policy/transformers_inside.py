"""What we lean on inside transformers, PEFT and torch beyond their documented ways, in one place, so that an
upgrade is tried at one place; and how their progress bars and remarks are kept off the screen."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, cast

import torch
from peft import PeftModel
from transformers import cache_utils
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.pytorch_utils import Conv1D as Conv1D
from transformers.utils import logging

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


_Dropout: TypeAlias = (
    torch.nn.Dropout
    | torch.nn.Dropout1d
    | torch.nn.Dropout2d
    | torch.nn.Dropout3d
    | torch.nn.AlphaDropout
    | torch.nn.FeatureAlphaDropout
)

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


def name_model(model: PreTrainedModel, name: str) -> None:
    """Have what is saved of ``model`` call it ``name``: where it was loaded from is a path of this machine."""
    model.config.name_or_path = name
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


def is_dropout(module: torch.nn.Module) -> TypeGuard[_Dropout]:
    """Whether ``module`` drops with its probability ``p``."""
    return isinstance(module, _Dropout)


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


@contextlib.contextmanager
def quiet_transformers() -> Generator[None]:
    """Show no progress bars and nothing below an error; afterwards all is as it was."""
    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # peft asks transformers in ways that will change: nothing that a user could mend.
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()
