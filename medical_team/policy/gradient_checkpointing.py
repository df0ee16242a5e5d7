"""Gradient checkpointing: activations are recomputed in the backward pass instead of kept."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch

from ..errors import PolicyError
from .transformers_inside import recomputing_modules


def enable_gradient_checkpointing(model: torch.nn.Module, name: str) -> None:
    """Have ``model`` recompute its activations within :func:`recomputing`.

    Raises:
        PolicyError: its architecture can't; ``name`` is the model's name.
    """
    try:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
    except ValueError as error:
        raise PolicyError(
            f"{name} can't recompute its activations ({error}): set policy.gradient_checkpointing to false, and lower "
            "training.tokens_per_microbatch if memory is short."
        ) from error
    model.enable_input_require_grads()  # type: ignore[operator]


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
