"""Passes at half precision without copies that nobody needs: on a CPU with matrix units they took half of a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def spare_copies(model: PreTrainedModel | torch.nn.Module) -> None:
    """Let ``model``, which computes under autocast, read the same numbers with fewer copies. No result changes.

    - PEFT hands an adapter its input in the adapter's fp32, and autocast turns it back into what it was.
    - The head reads the last positions of each row. A product with such a view copies the head's whole weight for
      every row, a product with the positions in one piece doesn't.
    """
    cast_inputs(model, is_cast=False)
    head: torch.nn.Module | None = model.get_output_embeddings()  # type: ignore[operator]
    if head is not None:
        head.register_forward_pre_hook(_in_one_piece)


def cast_inputs(model: torch.nn.Module, *, is_cast: bool) -> None:
    """Whether adapters of ``model`` turn their input into their own precision, as they must outside of autocast."""
    for layer in model.modules():
        if hasattr(layer, "cast_input_dtype_enabled"):
            layer.cast_input_dtype_enabled = is_cast  # type: ignore[assignment]


def _in_one_piece(_head: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(each.contiguous() if isinstance(each, torch.Tensor) else each for each in inputs)
