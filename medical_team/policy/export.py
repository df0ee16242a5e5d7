"""A model as one complete Hugging Face folder: adapters merged, weights as safetensors, tokenizer; in words that
transformers 4 understands too, which the Self-RedTeam fork has."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..callbacks import Notify
from ..errors import OutputError, PolicyError
from ..files import atomic_folder
from ..model_files import CONFIG_FILE, TOKENIZER_CONFIG_FILE, model_config, read_json_object
from .loading import load_language_model
from .transformers_inside import quiet_transformers, save_pretrained

_OWN_PLACES = ("rope_theta", "partial_rotary_factor")
"""What transformers 4 looks for beside ``rope_scaling``, not in it."""


def write_for_transformers_4(folder: Path) -> None:
    """Add to the configuration of the model in ``folder`` what transformers 4 looks for; nothing is taken away.

    Raises:
        PolicyError: its rotary positions can't be said in these words.
    """
    path = folder / CONFIG_FILE
    config = read_json_object(path)
    if isinstance(dtype := config.get("dtype"), str):
        config["torch_dtype"] = dtype
    config |= _rotary_words(config, folder)
    _write(path, config)


def write_tokenizer_for_transformers_4(folder: Path) -> None:
    """Write the tokenizer's configuration in ``folder`` in words that both versions read."""
    path = folder / TOKENIZER_CONFIG_FILE
    content = read_json_object(path)
    if content.get("tokenizer_class") == "TokenizersBackend":
        content["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(content.get("extra_special_tokens"), list):
        content["additional_special_tokens"] = content.pop("extra_special_tokens")
    _write(path, content)


def _rotary_words(config: Mapping[str, object], folder: Path) -> dict[str, object]:
    said = config.get("rope_parameters")
    if said is None:
        return {}
    parameters = cast("dict[str, object]", said) if isinstance(said, dict) else None
    if parameters is None or any(isinstance(value, dict) for value in parameters.values()):
        raise PolicyError(
            f"{folder} can't be written for transformers 4: its layers have rotary positions of several kinds "
            "(rope_parameters in config.json), which that version says in a way of each architecture's own. Leave "
            "--transformers-4 out, and take upstream OpenRLHF"
        )
    words = {name: parameters[name] for name in _OWN_PLACES if name in parameters}
    scaling = {name: value for name, value in parameters.items() if name not in _OWN_PLACES}
    if scaling.get("rope_type", "default") != "default":
        words["rope_scaling"] = scaling
    return words


def _write(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


ExportPrecision = Literal["auto", "fp32", "bf16", "fp16"]

TOLERANCE = 1e-4
"""By how much the written model's logits may differ from those of the model in memory, of the same precision."""

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PROBE = "The patient takes 500 mg of amoxicillin three times a day."
_PROBE_TOKENS = 48
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class ExportedModel:
    """What was written."""

    folder: Path
    architecture: str
    parameters: int
    precision: str
    bytes: int
    difference: float | None
    """Largest difference of a logit between the folder, loaded again, and the model in memory; None: not compared."""
    from_source: float | None
    """The same between the folder and the source in fp32: what fewer bits cost."""


def export_model(
    source: str,
    folder: Path,
    write_card: Callable[[Path], None],
    *,
    precision: ExportPrecision = "auto",
    is_verified: bool = True,
    is_for_transformers_4: bool = False,
    notify: Notify = lambda text: None,
) -> ExportedModel:
    """Write the model ``source`` to ``folder``, which must be absent or empty. It appears whole and checked, or not.

    Args:
        source: what :func:`.loading.load_language_model` takes. Adapters are merged, in fp32.
        folder: where the model goes.
        write_card: writes the model card into the folder that it is given.
        precision: of the written weights; ``auto`` takes the source's own, and fp32 for a merged adapter.
        is_verified: load what was written and compare its logits. A merged adapter is compared whenever it is loaded.
        is_for_transformers_4: let transformers 4 open it too, as the Self-RedTeam fork does.
        notify: told what takes long.

    Raises:
        OutputError: ``folder`` is occupied, or can't be written.
        PolicyError: the source can't be loaded, what was merged or written differs from it, or it can't be said in the
            words of transformers 4.
    """
    # Before anything is loaded.
    there = sorted(folder.iterdir()) if folder.is_dir() else [folder] * (folder.exists() or folder.is_symlink())
    if there:
        raise OutputError(f"{folder} can't be written: there is {there[0]}. Name a new or empty folder.")
    notify(f"loading {source}")
    language_model = load_language_model(source, device=_CPU, dtype=torch.float32, notify=notify)
    model = language_model.model
    dtype = _dtype_of(precision, source)
    token_ids = _probe_token_ids(language_model.tokenizer)
    exact_TV = _logits(model, token_ids)
    # The merged adapter has no trace left in the model: what is saved is an ordinary one.
    model = cast("PreTrainedModel", cast("Any", model).to(dtype=dtype))
    model.config.dtype = dtype
    expected_TV = _logits(model, token_ids)
    parameters, architecture = sum(weight.numel() for weight in model.parameters()), type(model).__name__
    difference = from_source = None
    with atomic_folder(folder, replace=False) as unfinished:
        notify(f"writing {parameters:,} parameters in {_name_of(dtype)}")
        with quiet_transformers():
            save_pretrained(model, language_model.tokenizer, unfinished)
        write_tokenizer_for_transformers_4(unfinished)
        if is_for_transformers_4:
            write_for_transformers_4(unfinished)
        write_card(unfinished)
        if is_verified:
            # Two copies of a large model need not fit.
            del model, language_model
            gc.collect()
            notify("loading it again, to compare")
            written_TV = _logits(load_language_model(str(unfinished), device=_CPU, dtype=dtype).model, token_ids)
            difference, from_source = (float((written_TV - each).abs().max()) for each in (expected_TV, exact_TV))
            _raise_if_different(difference, source)
        size = sum(path.stat().st_size for path in unfinished.rglob("*") if path.is_file())
    return ExportedModel(folder, architecture, parameters, _name_of(dtype), size, difference, from_source)


def _dtype_of(precision: ExportPrecision, name: str) -> torch.dtype:
    """Of ``auto`` what a folder's config.json says; adapters, and what has only a name, are kept in fp32."""
    if precision != "auto":
        return _DTYPES[precision]
    config = model_config(name)
    said = config.get("dtype") or config.get("torch_dtype")
    return next((dtype for dtype in _DTYPES.values() if str(dtype) == f"torch.{said}"), torch.float32)


def _probe_token_ids(tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    token_ids = cast("list[int]", tokenizer(_PROBE)["input_ids"])
    return torch.tensor([token_ids[:_PROBE_TOKENS]])


def _logits(model: torch.nn.Module, token_ids_1T: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=token_ids_1T, use_cache=False).logits[0].float()


def _raise_if_different(difference: float, source: str) -> None:
    # A difference that is no number is none that can be accepted.
    if not difference <= TOLERANCE:
        raise PolicyError(
            f"what was written for {source} gives other logits than the model in memory: they differ by up to "
            f"{difference:.3g}, and {TOLERANCE:g} is allowed. Nothing is left of it; please report this."
        )


def _name_of(dtype: torch.dtype) -> str:
    return next(name for name, known in _DTYPES.items() if known is dtype)
