"""What torch, transformers, PEFT and safetensors leave without types, with the types that we rely on.

Each function is one call of theirs, so that a release that gives something else is met in one place. What goes beyond
their documented ways is in :mod:`.transformers_inside`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from safetensors import torch as safetensors_torch

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

_Model = TypeVar("_Model", bound=torch.nn.Module)


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


def rows_of(numbers_RC: torch.Tensor) -> list[list[float]]:
    """A table as Python numbers."""
    return cast("Any", numbers_RC).tolist()


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


def moved(model: _Model, **to: torch.device | torch.dtype) -> _Model:
    """``model`` itself, with its weights on another device or of another type."""
    return cast("Any", model).to(**to)


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


def take_step(optimizer: torch.optim.Optimizer) -> None:
    """Change the parameters by the gradients that they have."""
    cast("Any", optimizer).step()


def active_adapter(model: PeftModel) -> str:
    """Which adapter of ``model`` speaks: none of ours has several at once."""
    return cast("Any", model).active_adapter


def take_adapter_weights(
    model: torch.nn.Module, weights: dict[str, torch.Tensor], adapter: str
) -> tuple[list[str], list[str]]:
    """Put ``weights`` into ``adapter``. Returns the names in ``model`` that got none, and those it doesn't know."""
    import peft

    result = cast("Any", peft).set_peft_model_state_dict(model, weights, adapter_name=adapter)
    return result.missing_keys, result.unexpected_keys


def downloaded(name: str, *, wanted: Sequence[str], unwanted: Sequence[str]) -> Path:
    """The folder in the Hugging Face cache into which the model ``name`` was fetched, or was before.

    Args:
        name: on the hub.
        wanted: patterns of the files to fetch.
        unwanted: patterns of those among them to leave.
    """
    import huggingface_hub

    return Path(cast("Any", huggingface_hub).snapshot_download(name, allow_patterns=wanted, ignore_patterns=unwanted))
