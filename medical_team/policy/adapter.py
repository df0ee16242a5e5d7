"""LoRA: which layers of a model can be adapted, and an adapter on them."""

from __future__ import annotations

import copy
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch

from ..errors import PolicyError
from .quiet import quiet_transformers
from .transformers_inside import Conv1D, name_model

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

_PROBE_TOKENS = 4
_STACKED = 3
"""Dimensions of a parameter that holds a matrix for each expert; so has a convolution's."""
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")


def attach_adapter(
    model: PreTrainedModel, *, name: str, rank: int, generator_seed: int, adapter: str = "default"
) -> torch.nn.Module:
    """``model`` with a new LoRA adapter, whose alpha is twice its rank.

    Args:
        model: in evaluation mode.
        name: the model's, as the user gave it; the saved adapter names it as its base.
        rank: of the matrices.
        generator_seed: decides their first values. No global random state is touched.
        adapter: what it is called.

    Raises:
        PolicyError: the model has no layer that can be adapted, or PEFT refuses it.
    """
    from peft import get_peft_model

    # The base is named as the user named it: where it was loaded from is a path of this machine.
    name_model(model, name)
    try:
        targets = _kept_by_peft(model, adaptable_layers(model), rank)
        if not targets:
            raise PolicyError("it has no linear layer that could be adapted.")
        with torch.random.fork_rng(devices=[]), quiet_transformers():
            torch.default_generator.manual_seed(generator_seed)
            return get_peft_model(model, _configuration(model, targets, rank), adapter_name=adapter)
    except (PolicyError, ValueError, TypeError, AttributeError, NotImplementedError, RuntimeError) as error:
        raise PolicyError(
            f"no LoRA adapter can be attached to {name} ({type(model).__name__}): {error} Set policy.adaptation to "
            "full, or take another model."
        ) from error


def add_adapter(model: PeftModel, adapter: str, *, like: str, generator_seed: int) -> None:
    """One more adapter on ``model``, on the same layers as ``like``; who speaks stays as it is.

    Args:
        adapter: what it is called.
        like: the adapter whose settings it takes.
        generator_seed: decides its first values. No global random state is touched.
    """
    active = cast("str", model.active_adapter)
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.default_generator.manual_seed(generator_seed)
        model.add_adapter(adapter, copy.deepcopy(model.peft_config[like]))
    model.set_adapter(active)
    model.eval()


def adaptable_layers(model: PreTrainedModel) -> list[str]:
    """The names of the linear layers of ``model`` that an adapter can change, and that it can be merged into again.

    A layer counts if a pass over a few tokens calls it, or one of its kind (another expert), as a linear layer: what
    reads the weight past the layer would pass the adapter by, and a router that gives a tuple can't be wrapped. Left
    out are the head, as PEFT does when asked for all layers, and weights that stand in several places, where merging
    an adapter of one place would change the others.
    """
    kinds = {_kind(name) for name in _layers_called(model)}
    head = model.get_output_embeddings()
    shared = _shared_weights(model)
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, (torch.nn.Linear, Conv1D))
        and _kind(name) in kinds
        and layer is not head
        and f"{name}.weight" not in shared
        and not _ends_state_space(model, name)
    ]


def _configuration(model: PreTrainedModel, targets: Sequence[str], rank: int) -> LoraConfig:
    from peft import LoraConfig, TaskType

    return LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=list(targets),
        fan_in_fan_out=all(isinstance(model.get_submodule(target), Conv1D) for target in targets),
        task_type=TaskType.CAUSAL_LM,
    )


def _kept_by_peft(model: PreTrainedModel, targets: Sequence[str], rank: int) -> Sequence[str]:
    """``targets`` without those in whose stead PEFT would adapt a mixture's experts, which stand in one parameter.

    It takes the names of a shared expert's layers for those that single experts had in older versions. An adapter of
    all experts computes all of their weights anew in each pass, which takes more memory than the model.
    """
    from peft import get_peft_model

    if not targets or all(parameter.ndim < _STACKED for parameter in model.parameters()):
        return targets
    with quiet_transformers(), warnings.catch_warnings():
        # peft's own patterns for the experts fit nothing.
        warnings.simplefilter("ignore", RuntimeWarning)
        tried: Any = get_peft_model(model, _configuration(model, targets, rank), low_cpu_mem_usage=True)
        found = tried.peft_config[tried.active_adapter]
        tried.unload()
    if not found.target_parameters:
        return targets
    kept = tuple(found.target_modules)
    return [target for target in targets if target in kept or target.endswith(tuple(f".{name}" for name in kept))]


def _layers_called(model: PreTrainedModel) -> set[str]:
    called: set[str] = set()

    def remember(name: str, width: int) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: torch.nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.shape[-1] == width:
                called.add(name)

        return model.get_submodule(name).register_forward_hook(hook)

    handles = [
        remember(name, layer.nf if isinstance(layer, Conv1D) else layer.out_features)
        for name, layer in model.named_modules()
        if isinstance(layer, (torch.nn.Linear, Conv1D))
    ]
    try:
        with torch.no_grad():
            model(input_ids=torch.arange(_PROBE_TOKENS, device=model.device)[None], use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return called


def _shared_weights(model: torch.nn.Module) -> set[str]:
    """The names of the parameters that have other names, too."""
    named = list(model.named_parameters(remove_duplicate=False))
    places = Counter(id(parameter) for _, parameter in named)
    return {name for name, parameter in named if places[id(parameter)] > 1}


def _ends_state_space(model: torch.nn.Module, name: str) -> bool:
    """Whether the layer is the last of a Mamba mixer, whose fused kernels read its weight: PEFT refuses to adapt it."""
    parent_name, _, own_name = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    return own_name == "out_proj" and hasattr(parent, "A_log") and hasattr(parent, "D")


def _kind(name: str) -> str:
    return _NUMBER.sub("#", name)
