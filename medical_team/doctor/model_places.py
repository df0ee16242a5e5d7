"""Where a model lies on this machine, if it does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..config import DEMO_MODEL, SMOLLM2_MODEL
from .hub_cache import cache_home, cached_model

_CONVERTED = "medical-team/SmolLM2-135M-Instruct-from-Q4_1"
_DEMO_FOLDER = Path(__file__).resolve().parent.parent / "policy" / "demo"


def local_folder(name: str) -> Path | None:
    """The folder of a model that ships, or that ``name`` itself names."""
    folder = _DEMO_FOLDER if name == DEMO_MODEL else Path(name).expanduser()
    return folder if folder.is_dir() else None


def converted_folder(name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder of SmolLM2, if ``name`` is it, as it was converted from the PyPI package."""
    folder = cache_home(environment) / _CONVERTED
    return folder if name == SMOLLM2_MODEL and (folder / "model.safetensors").is_file() else None


def folder_here(name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder from which the model ``name`` would be loaded without any network."""
    return local_folder(name) or cached_model(name, environment) or converted_folder(name, environment)
