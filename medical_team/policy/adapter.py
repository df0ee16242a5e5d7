"""LoRA: which layers of a model can be adapted, an adapter on them, loading one, and merging it into its base."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer

from ..errors import PolicyError
from .preparation import cast_inputs
from .transformers_inside import (
    Conv1D,
    active_adapter,
    from_pretrained,
    head_of,
    name_model,
    named_layers,
    quiet_transformers,
    seeded,
    text_config,
)

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel


_STACKED = 3
"""Dimensions of a parameter that holds a matrix for each expert; so has a convolution's."""
_PASSED_BY = ("dt_proj", "out_proj")
"""Of a Mamba mixer: its code and its fused kernels read these weights past the layer."""


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
        with seeded(generator_seed), quiet_transformers():
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
    active = active_adapter(model)
    with seeded(generator_seed), quiet_transformers():
        model.add_adapter(adapter, copy.deepcopy(model.peft_config[like]))
    model.set_adapter(active)
    model.eval()


def adaptable_layers(model: PreTrainedModel) -> list[str]:
    """The names of the linear layers of ``model`` that an adapter can change, and that it can be merged into again.

    Left out are the head, as PEFT does when asked for all layers; routers, which give more than a tensor; what a Mamba
    mixer reads past the layer; and weights that stand in several places, where merging an adapter of one place would
    change the others.
    """
    head = head_of(model)
    shared = _shared_weights(model)
    return [
        name
        for name, layer in named_layers(model)
        if isinstance(layer, (torch.nn.Linear, Conv1D))
        and "Router" not in type(layer).__name__
        and layer is not head
        and layer.weight not in shared
        and not _is_passed_by(model, name)
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


def _shared_weights(model: torch.nn.Module) -> set[torch.nn.Parameter]:
    """The parameters that have several names."""
    places = Counter(parameter for _, parameter in model.named_parameters(remove_duplicate=False))
    return {parameter for parameter, count in places.items() if count > 1}


def _is_passed_by(model: torch.nn.Module, name: str) -> bool:
    parent_name, _, own_name = name.rpartition(".")
    parent = model.get_submodule(parent_name)
    return own_name in _PASSED_BY and hasattr(parent, "A_log") and hasattr(parent, "D")


MERGING_TOLERANCE = 1e-4
"""By how much a logit of the merged model may differ, as a share of the largest logit (or of 1, if that is larger)."""
_ROUNDINGS = 32
"""The same in fewer bits than fp32, in units of their rounding. Right merges of tiny models in bf16 differ by up to 5
units, wrong ones into tied weights by 95 or more."""

_MERGING_TOKENS = 16
_KEYS_SHOWN = 3


def load_adapter(model: PreTrainedModel, folder: Path, name: str) -> PeftModel:
    """``model`` with the LoRA adapter in ``folder`` on it, in evaluation mode.

    Raises:
        PolicyError: weights are missing in the file or have no place in ``model``: the adapter, called ``name``, would
            be another one, or none.
        ValueError, RuntimeError, OSError: PEFT can't load it.
    """
    with _quiet_peft():
        adapted: PeftModel = from_pretrained(PeftModel, model, str(folder), use_safetensors=True)
        # Loaded once more, since only this call tells what had no place.
        found = cast("Any", adapted).load_adapter(str(folder), "default", torch_device=str(model.device))
    for what, keys in (("has no weights for", found.missing_keys), ("has weights for unknown", found.unexpected_keys)):
        if keys:
            shown = ", ".join(sorted(keys)[:_KEYS_SHOWN])
            raise PolicyError(
                f"the adapter {name} {what} {len(keys)} layers of {type(model).__name__}, for example {shown}: it was "
                "made for another model, or its adapter_config.json is another adapter's."
            )
    return adapted.eval()


def merge_adapter(adapted: torch.nn.Module, name: str) -> PreTrainedModel:
    """The base model of ``adapted``, a PEFT model in evaluation mode, with its adapter merged in.

    Embeddings and head that are tied are untied if the adapter changes one of them. The merged model is compared with
    the unmerged one, more loosely in fewer bits than fp32.

    Raises:
        PolicyError: the adapter of the model ``name`` can't be merged, or the merged model is another one.
    """
    peft_model = cast("PeftModel", adapted)
    base = cast("PreTrainedModel", peft_model.get_base_model())
    cast_inputs(base, is_cast=True)
    unmerged_TV = probe_logits(peft_model)
    tolerance = max(MERGING_TOLERANCE, _ROUNDINGS * torch.finfo(base.dtype).eps)
    _untie_adapted_embeddings(base)
    _raise_if_shared(base, name)
    try:
        with _quiet_peft():
            merged = cast("PreTrainedModel", cast("Any", peft_model).merge_and_unload(safe_merge=True))
    except ValueError as error:
        # PEFT's words for weights, or an alpha, that are no numbers.
        raise PolicyError(f"the adapter of {name} can't be merged: {error}. Fetch or train it again.") from error
    _untie_in_configuration(merged)
    difference = relative_difference(probe_logits(merged), unmerged_TV)
    # A difference that is no number is none that can be accepted.
    if not difference <= tolerance:
        raise PolicyError(
            f"the adapter of {name} can't be merged into {type(merged).__name__}: the merged model's logits differ "
            f"from the adapter's by {difference:.2g} of the largest, and {tolerance:g} is rounding. Train an adapter "
            "of linear layers only, or merge it elsewhere and name the merged model."
        )
    return merged


def probe_logits(model: torch.nn.Module) -> torch.Tensor:
    """Logits of a few tokens, [T, V] in fp32."""
    embeddings: Any = cast("Any", model).get_input_embeddings()
    # The vocabulary's last tokens are where an adapter would have added some.
    token_ids = torch.linspace(0, embeddings.weight.shape[0] - 1, _MERGING_TOKENS, device=embeddings.weight.device)
    with torch.no_grad():
        return model(input_ids=token_ids.long()[None], use_cache=False).logits[0].float()


def relative_difference(one_TV: torch.Tensor, other_TV: torch.Tensor) -> float:
    """The largest difference of a logit, as a share of the largest logit, or of 1 if that is larger."""
    return float((one_TV - other_TV).abs().max() / other_TV.abs().max().clamp(min=1.0))


def _untie_adapted_embeddings(base: PreTrainedModel) -> None:
    embeddings, head = base.get_input_embeddings(), head_of(base)
    if head is None or not (isinstance(head, LoraLayer) or isinstance(embeddings, LoraLayer)):
        return
    for layer in head.modules():
        weight = dict(layer.named_parameters(recurse=False, remove_duplicate=False)).get("weight")
        if weight is not None and any(weight is other for other in embeddings.parameters()):
            layer.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)


def _untie_in_configuration(merged: PreTrainedModel) -> None:
    """Have the configuration say so if embeddings and head are no longer tied: else the head would not be saved."""
    embeddings: Any = merged.get_input_embeddings()
    head = head_of(merged)
    if head is None or head.weight is embeddings.weight:
        return
    for config in (merged.config, text_config(merged.config)):
        if getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = False


def _raise_if_shared(base: PreTrainedModel, name: str) -> None:
    shared = _shared_weights(base)
    for layer_name, layer in named_layers(base):
        # Changes of single tokens are no LoRA: PEFT ties them wherever the weights are.
        changed = cast("BaseTunerLayer", layer).get_base_layer().parameters() if isinstance(layer, LoraLayer) else ()
        if not shared.isdisjoint(changed):
            raise PolicyError(
                f"the adapter of {name} can't be merged: it changes {layer_name}, whose weight stands in several "
                f"places of {type(base).__name__}, so that the others would change, too. Train an adapter without it."
            )


@contextmanager
def _quiet_peft() -> Generator[None]:
    """Without PEFT's warnings about tied weights and missing keys, which are dealt with here."""
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
