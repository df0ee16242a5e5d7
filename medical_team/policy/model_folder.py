"""What a folder with a model must hold: checked, all at once, before anything heavy is loaded.

Only safetensors are accepted, since pickle files can run code when they are opened, and only architectures that
transformers itself knows, since a repository's own code is never run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from ..errors import PolicyError
from ..model_files import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    CONFIG_FILE,
    PICKLE_SUFFIXES,
    TOKENIZER_FILES,
    WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
    has_tokenizer,
    read_json_object,
    weight_files,
)
from ..words import fold_white_space
from .transformers_inside import from_pretrained, has_causal_head

_POINTER = b"version https://git-lfs.github.com/spec/"
_LARGEST_POINTER = 1024
_CAUSAL_ARCHITECTURES = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")


def model_folder_problems(folder: Path) -> list[str]:
    """Why ``folder`` can't be loaded as a causal language model; empty if nothing speaks against it."""
    names = {path.name for path in folder.iterdir()}
    if problem := pointer_problem(folder):
        return [problem]
    problems = missing_file_problems(names)
    if CONFIG_FILE in names:
        problems.extend(_config_problems(folder))
    problems.extend(_weights_problems(folder, names))
    if ADAPTER_CONFIG_FILE in names and CONFIG_FILE in names:
        problems.append(f"it holds both a model ({CONFIG_FILE}) and an adapter ({ADAPTER_CONFIG_FILE}); separate them")
    return problems


def pointer_problem(folder: Path) -> str | None:
    """What to do where files in ``folder`` are pointers of Git LFS, as a clone without that program leaves them."""
    pointers = sorted(path.name for path in folder.iterdir() if _is_pointer(path))
    if not pointers:
        return None
    hold = "holds" if len(pointers) == 1 else f"and {len(pointers) - 1} more hold"
    return (
        f"{pointers[0]} {hold} only a pointer of Git LFS, not the content: run `git lfs install` and `git lfs pull` in "
        "the folder, or fetch the model with `hf download`"
    )


def _is_pointer(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > _LARGEST_POINTER:
        return False
    try:
        return path.read_bytes().startswith(_POINTER)
    except OSError:
        return False


def missing_file_problems(names: Collection[str]) -> list[str]:
    """What a model's files, of which only the names are known, lack."""
    problems: list[str] = []
    if CONFIG_FILE not in names:
        problems.append(f"there is no {CONFIG_FILE}, so it is no Hugging Face model")
    if not has_tokenizer(names):
        problems.append(
            f"there is no tokenizer ({', '.join(TOKENIZER_FILES[:3])}): save it with tokenizer.save_pretrained(folder)"
        )
    if not {WEIGHTS_FILE, WEIGHTS_INDEX_FILE}.intersection(names):
        problems.append(_no_weights_problem(names, WEIGHTS_FILE))
    return problems


def adapter_folder_problems(folder: Path) -> list[str]:
    """Why ``folder`` can't be loaded as a LoRA adapter; empty if nothing speaks against it."""
    names = {path.name for path in folder.iterdir()}
    if problem := pointer_problem(folder):
        return [problem]
    try:
        config = read_json_object(folder / ADAPTER_CONFIG_FILE)
    except ValueError as error:
        return [str(error)]
    problems: list[str] = []
    if config.get("peft_type") != "LORA":
        problems.append(f"{ADAPTER_CONFIG_FILE} says peft_type {config.get('peft_type')!r}; only LORA can be merged")
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base.strip():
        problems.append(f"{ADAPTER_CONFIG_FILE} names no base model (base_model_name_or_path)")
    if ADAPTER_WEIGHTS_FILE in names:
        problems.extend(_safetensors_problems(folder / ADAPTER_WEIGHTS_FILE))
    else:
        problems.append(_no_weights_problem(names, ADAPTER_WEIGHTS_FILE))
    return problems


def raise_if_any(problems: list[str], name: str) -> None:
    """Raise one error for all ``problems`` of the model ``name``.

    Raises:
        PolicyError: there are problems.
    """
    if problems:
        raise PolicyError("\n".join([f"{name} can't be used as the policy:", *(f"  - {text}" for text in problems)]))


def _no_weights_problem(names: Collection[str], wanted: str) -> str:
    if any(name.endswith(PICKLE_SUFFIXES) for name in names):
        return (
            f"its weights are pickle files, which can run code when opened, and there is no {wanted}; if you trust "
            "them, load the model with transformers elsewhere and write safetensors with save_pretrained"
        )
    return f"there are no weights ({wanted})"


def _config_problems(folder: Path) -> Iterator[str]:
    try:
        raw = read_json_object(folder / CONFIG_FILE)
    except ValueError as error:
        yield str(error)
        return
    model_type = raw.get("model_type")
    if model_type not in CONFIG_MAPPING:
        if raw.get("auto_map"):
            yield (
                f"it needs code of its own (auto_map in {CONFIG_FILE}, trust_remote_code), which is never run; take a "
                "model whose architecture is part of transformers"
            )
        else:
            yield f"{CONFIG_FILE} says model_type {model_type!r}, which the installed transformers doesn't know"
        return
    try:
        config: PreTrainedConfig = from_pretrained(AutoConfig, folder, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - each architecture checks its values by errors of its own
        yield f"{CONFIG_FILE} can't be used: {fold_white_space(str(error)) or type(error).__name__}"
        return
    yield from _architecture_problems(config)


def _architecture_problems(config: PreTrainedConfig) -> Iterator[str]:
    if config.is_encoder_decoder:
        yield f"it is an encoder-decoder model ({config.model_type}), and the game needs a causal (decoder-only) one"
        return
    architectures = config.architectures or []
    is_causal = not architectures or any(name.endswith(_CAUSAL_ARCHITECTURES) for name in architectures)
    if not is_causal or not has_causal_head(config.model_type):
        named = ", ".join(architectures) or config.model_type
        yield f"it is no causal language model but {named}, which has no head that writes text"


def _weights_problems(folder: Path, names: Collection[str]) -> Iterator[str]:
    try:
        shards = weight_files(folder)
    except ValueError as error:
        yield str(error)
        return
    for shard in shards:
        if shard in names:
            yield from _safetensors_problems(folder / shard)
        else:
            yield f"{WEIGHTS_INDEX_FILE} names {shard}, which is missing: fetch the model again"


def _safetensors_problems(path: Path) -> Iterator[str]:
    try:
        # Opening reads the header alone, and compares what it promises with the file's size. With "pt" it would also
        # ask for as much memory as the file is long.
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        yield f"{path.name} is cut off or no safetensors file ({error}): fetch or save the model again"
