"""Finding a model's folder: on this machine, in the Hugging Face cache, or on the hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from ..callbacks import Notify
from ..config import TINY_RANDOM_MODEL
from ..errors import ModelUnavailableError, PolicyError
from ..model_names import is_folder_name, is_hub_name
from ..network.proxies import usable_proxy
from .model_folder import (
    ADAPTER_CONFIG_FILE,
    CONFIG_FILE,
    adapter_folder_problems,
    is_adapter_folder,
    missing_file_problems,
    model_folder_problems,
    raise_if_any,
)

CONNECT_SECONDS = 5.0
"""How long the hub may take to answer at all, so that a machine without a network doesn't wait for minutes."""

_WANTED_FILES = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "*.tiktoken"]
# Repositories hold other formats in folders of their own, and Mistral's the same weights a second time.
_UNWANTED_FILES = ["*/*", "consolidated*"]


def cached_folder(name: str) -> Path | None:
    """The folder of ``name`` in the Hugging Face cache, if all that is needed is there."""
    for file in (CONFIG_FILE, ADAPTER_CONFIG_FILE):
        found = try_to_load_from_cache(name, file)
        if isinstance(found, str):
            folder = Path(found).parent
            problems = adapter_folder_problems if is_adapter_folder(folder) else model_folder_problems
            return None if problems(folder) else folder
    return None


def download_folder(name: str, notify: Notify) -> Path:
    """Fetch ``name`` from the hub into the Hugging Face cache, after a look at what it holds.

    Raises:
        ModelUnavailableError: the hub can't be reached, or has no such repository for this user.
        PolicyError: the repository holds no model that can be loaded.
    """
    try:
        # The hub's library has clients of its own, which break where they meet a proxy that they can't speak to.
        usable_proxy(constants.ENDPOINT)
        information = HfApi().model_info(name, timeout=CONNECT_SECONDS, files_metadata=True)
        files = {item.rfilename: item.size or 0 for item in information.siblings or [] if "/" not in item.rfilename}
        if ADAPTER_CONFIG_FILE not in files or CONFIG_FILE in files:
            raise_if_any(missing_file_problems(files), name)
        size = sum(size for file, size in files.items() if file.endswith(".safetensors"))
        notify(f"fetching {name} from the Hugging Face hub ({size / 1e6:,.0f} MB)")
        return Path(snapshot_download(name, allow_patterns=_WANTED_FILES, ignore_patterns=_UNWANTED_FILES))
    except GatedRepoError as error:
        raise ModelUnavailableError(
            f"{name} is gated: accept its terms at https://huggingface.co/{name}, then log in with `hf auth login` "
            "(or set HF_TOKEN), and run this again."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailableError(
            f"{name} is neither a folder here nor a repository on the Hugging Face hub that you can read. Check the "
            "spelling of policy.model; for a private model log in with `hf auth login`."
        ) from error
    except (OfflineModeIsEnabled, HTTPError, OSError) as error:
        raise ModelUnavailableError(_unreachable(name, error)) from error


def model_folder(name: str, notify: Notify) -> Path:
    """The folder of the model ``name``: a folder of this machine, of the Hugging Face cache, or fetched from the hub.

    Raises:
        PolicyError: there is no such model, or it can't be fetched.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise PolicyError(f"{name} is a file; policy.model names a model's folder, or a model on the hub.")
    if is_folder_name(name):
        raise PolicyError(f"there is no folder {name}: was the model moved or deleted?")
    if not is_hub_name(name):
        raise PolicyError(f"there is no folder {name}, and it can't be a name on the Hugging Face hub (owner/model).")
    return cached_folder(name) or download_folder(name, notify)


def _unreachable(name: str, error: Exception) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        reason = "HF_HUB_OFFLINE forbids to ask the hub"
    else:
        reason = f"the hub can't be reached ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
    return (
        f"{name} is neither a folder here nor complete in the Hugging Face cache, and {reason}. Copy the model to this "
        "machine and name its folder in --policy.model, or point HF_HOME at a cache that has it; to try things out "
        f"with a random model: --policy.model {TINY_RANDOM_MODEL}."
    )
