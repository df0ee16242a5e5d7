"""Loading an adapter, and merging it into its base: the one place where either is done.

PEFT adds an adapter's change to its layer's weight in place. Where that weight stands elsewhere, too, as a tied head's
does in the embeddings, the other place would change with it, and nobody would be told.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer

from ..errors import PolicyError
from .mixed_precision import cast_inputs
from .quiet import quiet_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MERGING_TOLERANCE = 1e-4
"""By how much a logit of the merged model may differ, as a share of the largest logit (or of 1, if that is larger)."""
_ROUNDINGS = 32
"""The same in fewer bits than fp32, in units of their rounding. Right merges of tiny models in bf16 differ by up to 5
units, wrong ones into tied weights by 95 or more."""

_PROBE_TOKENS = 16
_KEYS_SHOWN = 3


def load_adapter(model: PreTrainedModel, folder: Path, name: str) -> PeftModel:
    """``model`` with the LoRA adapter in ``folder`` on it, in evaluation mode.

    Raises:
        PolicyError: weights are missing in the file or have no place in ``model``: the adapter, called ``name``, would
            be another one, or none.
        ValueError, RuntimeError, OSError: PEFT can't load it.
    """
    with _quiet_peft():
        adapted = PeftModel.from_pretrained(model, str(folder), use_safetensors=True)
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
    with _quiet_peft():
        merged = cast("PreTrainedModel", cast("Any", peft_model).merge_and_unload(safe_merge=True))
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
    token_ids = torch.linspace(0, embeddings.weight.shape[0] - 1, _PROBE_TOKENS, device=embeddings.weight.device)
    with torch.no_grad():
        return model(input_ids=token_ids.long()[None], use_cache=False).logits[0].float()


def relative_difference(one_TV: torch.Tensor, other_TV: torch.Tensor) -> float:
    """The largest difference of a logit, as a share of the largest logit, or of 1 if that is larger."""
    return float((one_TV - other_TV).abs().max() / other_TV.abs().max().clamp(min=1.0))


def _untie_adapted_embeddings(base: PreTrainedModel) -> None:
    embeddings, head = base.get_input_embeddings(), base.get_output_embeddings()
    if not isinstance(head, LoraLayer) and not isinstance(embeddings, LoraLayer):
        return
    for layer in head.modules() if isinstance(head, torch.nn.Module) else ():
        weight = layer._parameters.get("weight")
        if weight is not None and any(weight is other for other in embeddings.parameters()):
            layer.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=weight.requires_grad)


def _untie_in_configuration(merged: PreTrainedModel) -> None:
    """Have the configuration say so if embeddings and head are no longer tied: else the head would not be saved."""
    embeddings: Any = merged.get_input_embeddings()
    head: Any = merged.get_output_embeddings()
    if head is None or head.weight is embeddings.weight:
        return
    for config in (merged.config, merged.config.get_text_config()):
        if getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = False


def _raise_if_shared(base: PreTrainedModel, name: str) -> None:
    named = list(base.named_parameters(remove_duplicate=False))
    places = Counter(id(parameter) for _, parameter in named)
    for layer_name, layer in _adapted_layers(base):
        if any(places[id(parameter)] > 1 for parameter in layer.parameters()):
            raise PolicyError(
                f"the adapter of {name} can't be merged: it changes {layer_name}, whose weight stands in several "
                f"places of {type(base).__name__}, so that the others would change, too. Train an adapter without it."
            )


def _adapted_layers(base: PreTrainedModel) -> Iterator[tuple[str, torch.nn.Module]]:
    # Changes of single tokens are no LoRA: PEFT ties them wherever the weights are.
    for name, layer in base.named_modules():
        if isinstance(layer, LoraLayer):
            yield name, cast("BaseTunerLayer", layer).get_base_layer()


@contextmanager
def _quiet_peft() -> Generator[None]:
    """Without PEFT's warnings about tied weights and missing keys, which are dealt with here."""
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
