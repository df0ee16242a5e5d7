"""What is done to a model before it learns: dropout is off for good, activations may be recomputed in the backward
pass instead of kept, and passes at half precision make no copies that nobody needs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from typing import Any

import torch

from ..errors import PolicyError
from .transformers_inside import head_of, recomputing_modules


def switch_off_dropout(model: torch.nn.Module) -> None:
    """Set every probability of ``model`` to drop something to 0; its configuration, which is saved, stays as it is.

    There are modules that drop (``torch.nn.Dropout``), and probabilities that a module hands to a function when it
    computes: ``dropout``, ``attention_dropout``, ``attn_pdrop``, ``layerdrop``.
    """
    for module in model.modules():
        kind = type(module).__name__
        for name, value in vars(module).items():
            if isinstance(value, float) and ("drop" in name or (name == "p" and "Dropout" in kind)):
                setattr(module, name, 0.0)


def enable_gradient_checkpointing(model: torch.nn.Module, name: str) -> None:
    """Have ``model`` recompute its activations within :func:`recomputing`.

    Raises:
        PolicyError: its architecture can't; ``name`` is the model's name.
    """
    try:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator] - typed as a tensor
    except ValueError as error:
        raise PolicyError(
            f"{name} can't recompute its activations ({error}): set policy.gradient_checkpointing to false, and lower "
            "training.tokens_per_microbatch if memory is short."
        ) from error
    model.enable_input_require_grads()  # type: ignore[operator] - typed as a tensor


@contextlib.contextmanager
def recomputing(model: torch.nn.Module) -> Generator[None]:
    """Recompute activations in here, if that was enabled; outside of it the model computes as in evaluation.

    transformers recomputes in training mode only. All else that the mode means in some architecture (dropout, noise in
    a router, kernels that pass an adapter by) would part the learner from the sampler, so the modules that recompute
    are put into it alone, and not what is inside of them.
    """
    chosen = list(recomputing_modules(model))
    for module in chosen:
        module.training = True
    try:
        yield
    finally:
        for module in chosen:
            module.training = False


def keep_few_compiled_products() -> None:
    """Let oneDNN, which multiplies in bf16 on a CPU, keep 128 compiled products and not 1024, unless the user says.

    It compiles one for every shape, and batches of texts have hundreds: memory grew from 4 to 9 GiB in 100 steps of
    SmolLM2. It asks the environment once, when it first multiplies.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")


def spare_copies(model: torch.nn.Module) -> None:
    """Let ``model``, which computes under autocast, read the same numbers with fewer copies. No result changes.

    - PEFT hands an adapter its input in the adapter's fp32, and autocast turns it back into what it was.
    - The head reads the last positions of each row. A product with such a view copies the head's whole weight for
      every row, a product with the positions in one piece doesn't.
    """
    cast_inputs(model, is_cast=False)
    if (head := head_of(model)) is not None:
        head.register_forward_pre_hook(_in_one_piece)


def cast_inputs(model: torch.nn.Module, *, is_cast: bool) -> None:
    """Whether adapters of ``model`` turn their input into their own precision, as they must outside of autocast."""
    for layer in model.modules():
        if hasattr(layer, "cast_input_dtype_enabled"):
            layer.cast_input_dtype_enabled = is_cast  # type: ignore[assignment] - torch types attributes as tensors


def _in_one_piece(_head: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(each.contiguous() if isinstance(each, torch.Tensor) else each for each in inputs)
