"""A policy's weights as a checkpoint has them: its adapter merged in, under the names that transformers saves.

Nothing of the policy changes: it goes on learning while another engine takes the weights over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch

from ..errors import PolicyError
from ..game.rollout import REFERENCE
from ..records import LIVING
from .policy import Policy

_LORA = ".lora_"
_BASE = ".base_layer."


@torch.no_grad()
def merged_weights(policy: Policy, version: str = LIVING) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights of ``version`` by name, in fp32 where an adapter is added.

    A head that is tied to the embeddings is named too: who takes over the one doesn't know of the other.

    Raises:
        PolicyError: there is no such version, or an adapter changes a weight that stands in several places.
    """
    has_adapter = policy.config.adaptation == "lora" and version != REFERENCE
    with policy.inference_context(version) as model:
        base: Any = model.get_base_model() if policy.config.adaptation == "lora" else model  # type: ignore[operator]
        weights: dict[str, torch.Tensor] = {}
        adapted: dict[str, torch.Tensor] = {}
        for name, weight in base.state_dict().items():
            if _LORA in name:
                continue
            plain = name.replace(_BASE, ".")
            is_adapted = has_adapter and name.endswith(f"{_BASE}weight")
            weights[plain] = _merged(base.get_submodule(name.rpartition(_BASE)[0]), weight) if is_adapted else weight
            if is_adapted:
                adapted[plain] = weight
    _raise_if_shared(weights, adapted)
    yield from _as_saved(base, weights).items()


def _merged(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    merged = weight.float()
    for adapter in layer.active_adapters:
        merged = merged + layer.get_delta_weight(adapter).float()
    return merged


def _raise_if_shared(weights: dict[str, torch.Tensor], adapted: dict[str, torch.Tensor]) -> None:
    places = {weight.data_ptr(): name for name, weight in weights.items()}
    for name, weight in adapted.items():
        if (other := places.get(weight.data_ptr())) is not None:
            raise PolicyError(
                f"the adapter changes {name}, which is tied to {other}: merged, it would change both. Set "
                "rollout.engine to transformers."
            )


def _as_saved(model: Any, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``weights`` as in a checkpoint, where transformers fused several into one on loading, as a mixture's experts."""
    from transformers import core_model_loading

    revert = getattr(core_model_loading, "revert_weight_conversion", None)
    fusing = getattr(core_model_loading, "WeightConverter", ())
    conversions = getattr(model, "_weight_conversions", None) or ()
    if revert is None or not any(isinstance(each, fusing) for each in conversions):
        return weights
    return cast("dict[str, torch.Tensor]", revert(model, weights))
