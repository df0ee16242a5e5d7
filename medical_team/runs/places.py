"""What names and paths of a configuration mean on this machine, so that a run can be resumed from another folder: a
model that ships, a folder of this machine, or a repository on the Hugging Face hub; and which folders are runs.

What a user types is looked for as a folder first. When a run begins, that is decided once and for all: from then on a
folder is named by its absolute path, which no repository has, and every other name means the hub.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config import DEMO_MODEL, TINY_RANDOM_MODEL, RunConfig
from .append import FINAL_FOLDER, INFO_FILE
from .checkpoints import NAME_PATTERN, POLICY_FOLDER

_SHIPPED = (DEMO_MODEL, TINY_RANDOM_MODEL)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_PART_OF_RUN = re.compile(rf"{FINAL_FOLDER}|{POLICY_FOLDER}|{NAME_PATTERN}")
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
    if (run := folder_around(path)) is None:
        return path.name
    part = next(part for part in reversed(path.relative_to(run).parts) if part != POLICY_FOLDER)
    return f"the model {part} of the run {run.name}"


def is_run(path: Path) -> bool:
    """Whether ``path`` is the folder of a run."""
    return (path / INFO_FILE).is_file()


def folder_around(path: Path) -> Path | None:
    """The run's folder in which ``path`` lies; None where there is none."""
    return next((parent for parent in list(path.parents)[:_LEVELS_TO_RUN] if is_run(parent)), None)


def settled(config: RunConfig) -> RunConfig:
    """``config`` with every place as an absolute path: models that are folders, the judge's cache, an engine's.

    What of its data is in other files is copied into the run, so its paths stay as they are.
    """
    config = with_settled_models(config)
    judge, engine = config.judge, config.engine
    judge = dataclasses.replace(judge, cache=_absolute(judge.cache))
    engine = dataclasses.replace(engine, python=_program(engine.python), fork=_absolute(engine.fork))
    return dataclasses.replace(config, judge=judge, engine=engine)


def with_settled_models(config: RunConfig, base: Path | None = None) -> RunConfig:
    """``config`` with :func:`settled_model` of each of its models."""
    return _with_models(config, {section: settled_model(model, base) for section, model in _models(config).items()})


def without_places(config: RunConfig) -> RunConfig:
    """``config`` as it may be given away: of each absolute path its last part alone."""
    return dataclasses.replace(
        config,
        **{item.name: _section_without_places(getattr(config, item.name)) for item in dataclasses.fields(config)},
    )


def ways_to_models(run: Path, config: RunConfig) -> dict[str, str]:
    """The way from the folder ``run`` to each model of ``config`` that is a folder, by the section that names it: by
    this it is found where both were moved together."""
    models = _models(config).items()
    return {section: os.path.relpath(model, run.resolve()) for section, model in models if is_folder_name(model)}


def with_models_found(config: RunConfig, run: Path, ways: Mapping[str, str]) -> RunConfig:
    """``config`` of the run in ``run`` with its models where they are now: where they were, else beside the run."""
    found = _models(config)
    for section, way in ways.items():
        beside = (run / way).resolve()
        if section in found and not Path(found[section]).is_dir() and beside.is_dir():
            found[section] = str(beside)
    return _with_models(config, found)


_MODEL_OPTIONS = {"policy": "model", "judge": "model", "opponents": "fixed"}
"""By section, the option that names a model."""


def _models(config: RunConfig) -> dict[str, str]:
    """The models of ``config`` that are loaded here, by section."""
    judge, opponents = config.judge, config.opponents
    models = {"policy": config.policy.model}
    # Of "openai", and of an opponent with an address, the model is a server's name for it.
    if (judge.fallback if judge.kind == "hybrid" else judge.kind) == "model":
        models["judge"] = judge.model
    if opponents.fixed is not None and opponents.url is None:
        models["opponents"] = opponents.fixed
    return models


def _with_models(config: RunConfig, models: Mapping[str, str]) -> RunConfig:
    sections = {
        section: dataclasses.replace(getattr(config, section), **{_MODEL_OPTIONS[section]: model})
        for section, model in models.items()
    }
    return dataclasses.replace(config, **sections)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - links stay


def _program(program: str | None) -> str | None:
    """A path, not a name to be looked for on the PATH, as an absolute one."""
    if program is None or not ("/" in program or Path(program).is_dir()):
        return program
    return _absolute(program)


def _section_without_places(section: Any) -> Any:
    texts = {item.name: getattr(section, item.name) for item in dataclasses.fields(section)}
    paths = {
        name: Path(text).name for name, text in texts.items() if isinstance(text, str) and Path(text).is_absolute()
    }
    return dataclasses.replace(section, **paths)
