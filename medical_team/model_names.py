"""What a model's name means: one that ships, a folder of this machine, or a repository on the Hugging Face hub.

What a user types is looked for as a folder first. When a run begins, that is decided once and for all: from then on a
folder is named by its absolute path, which no repository has, and every other name means the hub.
"""

from __future__ import annotations

import re
from pathlib import Path

from .config import DEMO_MODEL, TINY_RANDOM_MODEL

_SHIPPED = (DEMO_MODEL, TINY_RANDOM_MODEL)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PART_OF_RUN = re.compile(r"final|policy|step-\d+")
_RUN_INFO = "run.json"
_LEVELS_TO_RUN = 4


def settled_model(name: str, base: Path | None = None) -> str:
    """``name`` as a run saves it: a folder as its absolute path, anything else as it is.

    Args:
        name: what the user typed.
        base: the folder that a relative path starts from; without it the current one.
    """
    if not name or name in _SHIPPED:
        return name
    folder = (base or Path()) / Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def is_folder_name(name: str) -> bool:
    """Whether ``name``, as a run saves it, is a folder's."""
    return Path(name).is_absolute()


def is_hub_name(name: str) -> bool:
    """Whether ``name`` could be a repository on the hub: ``owner/model`` or ``model``."""
    return name not in _SHIPPED and _HUB_NAME.fullmatch(name) is not None


def repository_of(name: str) -> str | None:
    """The repository ``owner/model`` that ``name`` means, for the front matter of a card; None for anything else."""
    return name if is_hub_name(name) and "/" in name and not Path(name).is_dir() else None


def model_title(name: str) -> str:
    """``name`` for people elsewhere: of a folder its last part alone, since its path is this machine's matter."""
    if not is_folder_name(name):
        return name
    path = Path(name)
    if not _PART_OF_RUN.fullmatch(path.name):
        return path.name
    for parent in list(path.parents)[:_LEVELS_TO_RUN]:
        if (parent / _RUN_INFO).is_file():
            part = next(part for part in reversed(path.relative_to(parent).parts) if part != "policy")
            return f"the model {part} of the run {parent.name}"
    return path.name
