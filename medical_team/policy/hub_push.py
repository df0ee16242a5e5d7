"""Sending a folder to the Hugging Face hub: private unless told otherwise, and never unasked to what all can read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage]
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from ..callbacks import Notify
from ..errors import OutputError, UsageError
from ..model_names import is_hub_name
from ..network.proxies import privacy_warning, usable_proxy

RepositoryKind = Literal["model", "dataset"]

_PAGE = "README.md"


def check_repository(name: str) -> None:
    """Refuse what can't be a repository, before anything is written or sent.

    Raises:
        UsageError: it is not OWNER/NAME.
    """
    if name.count("/") != 1 or not is_hub_name(name):
        raise UsageError(f"--push is {name!r}, expected OWNER/NAME, a repository on the Hugging Face hub")


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
    # Read now and not when the library was imported, so that a hub of one's own can be named.
    endpoint = os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
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
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if status in (401, 403):
        remedy = "log in with `hf auth login`, or set HF_TOKEN, with a token that may write there"
    else:
        remedy = "the folder is complete here: run the command again when the hub answers, or use `hf upload`"
    return f"{repository} can't be written at {endpoint} ({reason}): {remedy}"
