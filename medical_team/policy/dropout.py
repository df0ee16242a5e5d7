"""Switching dropout off for good, wherever a model keeps it, so that log-probs of the same tokens repeat.

Evaluation mode alone would not do: transformers recomputes activations in training mode only.
"""

from __future__ import annotations

import torch

from .transformers_inside import is_dropout


def switch_off_dropout(model: torch.nn.Module) -> None:
    """Set every probability of ``model`` to drop something to 0; its configuration, which is saved, stays as it is.

    There are modules that drop (``torch.nn.Dropout``), and probabilities that a module hands to a function when it
    computes: ``dropout``, ``attention_dropout``, ``attn_pdrop``, ``layerdrop``.
    """
    for module in model.modules():
        if is_dropout(module):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)
