"""Configuration files: TOML to :class:`..config.RunConfig` and back."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

import tomli_w
import tomllib

from ..config import SHIPPED_DATA, DataConfig, RunConfig, problems_of
from ..errors import ConfigError
from ..terminal_text import shell_word
from .append import CONFIG_FILE
from .config_problems import read_tables, toml_problem
from .places import with_settled_models

MAX_CONFIG_BYTES = 1024 * 1024


_TABLE = re.compile(r"\s*\[\s*([\w.\-]+)\s*\]")
_KEY = re.compile(r"\s*([\w.\-]+)\s*=")
_LEADING_KEY = re.compile(r"\w+(?:\.\w+)*")


def load_config(path: Path) -> RunConfig:
    """The configuration in the TOML file ``path``; what it leaves out keeps its default.

    Relative data paths are taken relative to the folder of ``path``, and so are models that are folders there.

    Raises:
        ConfigError: the file can't be read, is no TOML, has unknown keys, wrong types or values out of bounds.
    """
    config = _config_of_text(_read(path), str(path))
    config = with_settled_models(config, path.parent)
    return dataclasses.replace(config, data=_relative_to(config.data, path.parent))


def check_is_whole(path: Path) -> None:
    """Check that the file of a run holds all sections, so that none falls back to defaults.

    Raises:
        ConfigError: the file can't be read, or some are missing, as after a copy that was broken off.
    """
    tables = _tables_of_text(_read(path), str(path))
    if missing := [f"[{item.name}]" for item in dataclasses.fields(RunConfig) if item.name not in tables]:
        told = f"missing: {', '.join(missing)}. Copy the file again; a run means nothing without its rules"
        raise ConfigError(f"{path} is not whole:", [told])


def check_config(config: RunConfig) -> None:
    """Check a configuration that was made or changed in Python.

    Raises:
        ConfigError: values are out of bounds or contradict each other: all of them are named.
    """
    if problems := problems_of(config):
        raise ConfigError("The configuration can't be used:", problems)


def to_toml(config: RunConfig) -> str:
    """``config`` as TOML with every value written out, defaults included. Values that are None are left out."""
    return tomli_w.dumps(_without_none(dataclasses.asdict(config)))


def preset_names() -> list[str]:
    """The presets that ship with the package."""
    return sorted(entry.name.removesuffix(".toml") for entry in _presets().iterdir() if entry.name.endswith(".toml"))


def load_preset(name: str) -> RunConfig:
    """The configuration of a preset that ships with the package. Its data paths are relative to the current folder.

    Raises:
        ConfigError: there is no such preset.
    """
    if name not in preset_names():
        raise ConfigError("The preset can't be used:", [f"there is no preset {name!r}; known: {_listed_presets()}"])
    return _config_of_text(_presets().joinpath(f"{name}.toml").read_text(encoding="utf-8"), f"preset {name}")


def _presets() -> Traversable:
    # The folder above this room, whatever the package is called.
    return resources.files(str(__package__).rpartition(".")[0]).joinpath("presets")


def _listed_presets() -> str:
    return ", ".join(preset_names())


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CONFIG_BYTES + 1)
        if len(content) > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path} can't be read:", [f"it is longer than {MAX_CONFIG_BYTES} bytes"])
        return content.decode("utf-8-sig")
    except IsADirectoryError as error:
        raise ConfigError(f"{path} can't be read:", [_of_folder(path)]) from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read:", [error.strerror or str(error)]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path} can't be read:", [f"line {line} is not UTF-8; save the file as UTF-8"]) from error


def _of_folder(path: Path) -> str:
    if not (path / CONFIG_FILE).is_file():
        return "it is a folder, expected a TOML file"
    return (
        f"it is the folder of a run. A new run like it: {path / CONFIG_FILE}; the same run goes on with "
        f"`train --resume {shell_word(path)}`"
    )


def _tables_of_text(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is no TOML file:", [toml_problem(text, error)]) from error


def _config_of_text(text: str, source: str) -> RunConfig:
    config, problems = read_tables(_tables_of_text(text, source))
    if problems or config is None:
        raise ConfigError(f"{source} can't be used:", _located(problems, _lines_of_keys(text)))
    return config


def _lines_of_keys(text: str) -> dict[str, int]:
    """The line of each plainly written key and section. A guess that only serves messages."""
    lines: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE.match(line):
            section = f"{match[1]}."
            lines.setdefault(match[1], number)
        elif match := _KEY.match(line):
            lines.setdefault(section + match[1], number)
    return lines


def _located(problems: Sequence[str], lines: Mapping[str, int]) -> list[str]:
    """``problems`` in the order of their lines, those without a line last."""
    located: list[tuple[float, str]] = []
    for problem in problems:
        match = _LEADING_KEY.match(problem)
        line = lines.get(match[0]) if match else None
        located.append((math.inf, problem) if line is None else (line, f"line {line}: {problem}"))
    return [problem for _, problem in sorted(located, key=lambda item: item[0])]


def _relative_to(data: DataConfig, folder: Path) -> DataConfig:
    heldout = data.heldout
    return DataConfig(
        train=_resolved(data.train, folder),
        heldout=None if heldout is None else _resolved(heldout, folder),
    )


def _resolved(value: str, folder: Path) -> str:
    return value if value in SHIPPED_DATA else str(folder / Path(value).expanduser())


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(cast("dict[str, Any]", value)) if isinstance(value, dict) else value
        for key, value in table.items()
        if value is not None
    }
