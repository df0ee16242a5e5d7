"""What we lean on inside transformers, PEFT and torch beyond their documented ways, in one place, so that an
upgrade is tried at one place; how their progress bars and remarks are kept off the screen; and, at the end, what they
leave without types, with the types that we rely on."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from peft import PeftModel, set_peft_model_state_dict  # pyright: ignore[reportUnknownVariableType] - untyped in PEFT
from safetensors import torch as safetensors_torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.pytorch_utils import Conv1D as Conv1D
from transformers.utils import logging

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


CACHE_NAMES = ("cache", "past_key_values", "cache_params", "state")
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


def keeps_a_state(model: PreTrainedModel) -> bool:
    """Whether ``model`` says that it keeps something else than keys and values of its tokens."""
    return bool(getattr(model, "_is_stateful", False))


def default_cache(config: PreTrainedConfig) -> DynamicCache:
    """The empty cache that ``generate`` would hand to a model of ``config``."""
    return DynamicCache(config=config)


def keep_rows(cache: Cache, rows: torch.Tensor) -> None:
    """Keep ``rows`` of ``cache`` alone, in that order, as a beam search would."""
    cache.reorder_cache(rows)  # type: ignore[arg-type] - typed for int64 tensors alone


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


def base_model_of(model: torch.nn.Module) -> PreTrainedModel:
    """``model``, or what PEFT has wrapped: an adapter is inside of its layers, and the wrapper only costs time."""
    return cast("PreTrainedModel", model.get_base_model() if isinstance(model, PeftModel) else model)


def _forward_parameters(model: PreTrainedModel) -> Iterator[frozenset[str]]:
    """Of ``forward`` as it is called; then, as long as it hands on any keyword, of the class's next in line."""
    wrapped = [vars(kind)["forward"] for kind in type(model).__mro__ if "forward" in vars(kind)]
    # The model's own may have been replaced after it was made.
    for forward in [model.forward, *wrapped]:
        parameters = inspect.signature(forward).parameters
        yield frozenset(parameters)
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            return


def beginning(error: BaseException, lines: int = 1) -> str:
    """The first lines of what a library says of an error; its kind where it says nothing."""
    said = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(said[:lines]) or type(error).__name__


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


@contextlib.contextmanager
def seeded(seed: int) -> Generator[None]:
    """First weights are drawn by ``seed`` in here, on the CPU. Global random state is as before afterwards."""
    # The CPU's own generator: torch.manual_seed would seed the GPUs too.
    generator = torch.default_generator
    before = generator.get_state()
    try:
        generator.manual_seed(seed)
        yield
    finally:
        generator.set_state(before)


def named_layers(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """Every module inside of ``model``, and itself, with its name."""
    return cast("Any", model).named_modules()


def head_of(model: torch.nn.Module) -> torch.nn.Module | None:
    """What makes logits of the last hidden states; None if ``model`` has none."""
    return cast("Any", model).get_output_embeddings()


def vocabulary_size(model: PreTrainedModel) -> int:
    """How many tokens ``model`` knows."""
    return cast("torch.nn.Embedding", model.get_input_embeddings()).num_embeddings


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The part of ``config`` that is about text; all of it where there is nothing else."""
    return cast("Any", config).get_text_config()


def from_pretrained(kind: type, *sources: object, **options: object) -> Any:
    """What ``kind``, a class of transformers or PEFT, reads from a folder."""
    return cast("Any", kind).from_pretrained(*sources, **options)


def save_pretrained(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerBase, folder: Path, **options: object
) -> None:
    """Write both to ``folder``; the options are for the model."""
    cast("Any", model).save_pretrained(folder, **options)
    cast("Any", tokenizer).save_pretrained(folder)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """What the safetensors file ``path`` holds.

    Raises:
        OSError, ValueError, SafetensorError: it can't be read.
    """
    return cast("Any", safetensors_torch).load_file(path)


def write_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write ``tensors`` as the safetensors file ``path``."""
    cast("Any", safetensors_torch).save_file(tensors, path)


def active_adapter(model: PeftModel) -> str:
    """Which adapter of ``model`` speaks: none of ours has several at once."""
    return cast("Any", model).active_adapter


def take_adapter_weights(
    model: torch.nn.Module, weights: dict[str, torch.Tensor], adapter: str
) -> tuple[list[str], list[str]]:
    """Put ``weights`` into ``adapter``. Returns the names in ``model`` that got none, and those it doesn't know."""
    result = cast("Any", set_peft_model_state_dict)(model, weights, adapter_name=adapter)
    return result.missing_keys, result.unexpected_keys
