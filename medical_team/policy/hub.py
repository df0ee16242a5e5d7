"""The Hugging Face hub: finding a model's folder on this machine, in the hub's cache or on the hub; and sending one
there, private unless told otherwise, and never unasked to what all can read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import (
    HfApi,
    constants,
    get_token,
    snapshot_download,  # pyright: ignore[reportUnknownVariableType] - has an untyped parameter
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage] - documented there, not exported
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from ..callbacks import Notify
from ..config import TINY_RANDOM_MODEL
from ..errors import EndpointError, ModelUnavailableError, OutputError, PolicyError, UsageError
from ..model_files import ADAPTER_CONFIG_FILE, CONFIG_FILE, is_adapter_folder
from ..network.proxies import is_address, privacy_warning, usable_proxy
from ..network.secrets import check_token
from ..runs.places import is_folder_name, is_hub_name
from .model_folder import adapter_folder_problems, missing_file_problems, model_folder_problems, raise_if_any
from .transformers_inside import beginning

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
        EndpointError: the hub's address or the token can't be one.
        ModelUnavailableError: the hub can't be reached, or has no such repository for this user.
        PolicyError: the repository holds no model that can be loaded.
    """
    _check_hub(constants.ENDPOINT)
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
        reason = f"the hub can't be reached ({beginning(error)})"
    return (
        f"{name} is neither a folder here nor complete in the Hugging Face cache, and {reason}. Copy the model to this "
        "machine and name its folder instead, or point HF_HOME at a cache that has it; the model "
        f"{TINY_RANDOM_MODEL} is always here, to try things out."
    )


RepositoryKind = Literal["model", "dataset"]

_PAGE = "README.md"


def check_repository(name: str) -> None:
    """Refuse what can't be a repository, before anything is written or sent.

    Raises:
        UsageError: it is not OWNER/NAME.
        EndpointError: the hub's address or the token can't be one.
    """
    if name.count("/") != 1 or not is_hub_name(name):
        raise UsageError(f"--push is {name!r}, expected OWNER/NAME, a repository on the Hugging Face hub")
    _check_hub(_endpoint())


def _endpoint() -> str:
    # Read now and not when the library was imported, so that a hub of one's own can be named.
    return os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")


def _check_hub(endpoint: str) -> None:
    """Raises EndpointError where the hub's address or the token can't be one: its library breaks at such."""
    if not is_address(endpoint):
        raise EndpointError(f"HF_ENDPOINT is {endpoint!r}, expected the address of a hub, as https://huggingface.co")
    check_token(get_token() or "", "HF_TOKEN, or what `hf auth login` saved,")


def push_folder(
    folder: Path,
    repository: str,
    *,
    is_public: bool,
    sent: str,
    notify: Notify,
    kind: RepositoryKind = "model",
    files: Sequence[str] | None = None,
    page: str | None = None,
) -> str:
    """Send the files of ``folder`` to ``repository``, which is made where there is none. Returns its address.

    Args:
        is_public: make it one that everybody can read, or send to one that is.
        kind: what the repository is.
        files: the names of the files that are sent; None: all.
        page: the repository's README.md, where the folder has none for it; sent before the files.
        sent: what is sent, as the subject of a sentence in the plural.
        notify: told where it goes, before anything is sent.

    Raises:
        UsageError: the repository can be read by everybody, and nobody said that this is wanted.
        OutputError: the hub can't be reached, or refuses.
    """
    check_repository(repository)
    endpoint = _endpoint()
    if warning := privacy_warning(endpoint, sent=sent, receiver="the Hugging Face hub"):
        notify(f"warning: {warning}")
    usable_proxy(endpoint)
    hub = HfApi(endpoint=endpoint)
    try:
        if not is_public and _is_public(hub, repository, kind):
            raise UsageError(
                f"everybody can read {repository}: name another repository, or say --public if that is wanted"
            )
        hub.create_repo(repository, private=not is_public, exist_ok=True, repo_type=kind)
        if page is not None:
            hub.upload_file(
                path_or_fileobj=page.encode(),
                path_in_repo=_PAGE,
                repo_id=repository,
                repo_type=kind,
                commit_message="Say what this is",
            )
        hub.upload_folder(
            repo_id=repository,
            repo_type=kind,
            folder_path=folder,
            allow_patterns=None if files is None else list(files),
            commit_message="Add files written by medical-team",
        )
    except OfflineModeIsEnabled as error:
        raise OutputError(f"{repository} can't be written: HF_HUB_OFFLINE forbids to ask the hub") from error
    except (HTTPError, OSError) as error:
        raise OutputError(_refusal(repository, endpoint, error)) from error
    return f"{endpoint}/{repository}" if kind == "model" else f"{endpoint}/{kind}s/{repository}"


def _is_public(hub: HfApi, repository: str, kind: RepositoryKind) -> bool:
    try:
        return hub.repo_info(repository, repo_type=kind).private is False
    except RepositoryNotFoundError:
        return False


def _refusal(repository: str, endpoint: str, error: Exception) -> str:
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status in (401, 403):
        remedy = "log in with `hf auth login`, or set HF_TOKEN, with a token that may write there"
    else:
        remedy = "the folder is complete here: run the command again when the hub answers, or use `hf upload`"
    return f"{repository} can't be written at {endpoint} ({beginning(error)}): {remedy}"
