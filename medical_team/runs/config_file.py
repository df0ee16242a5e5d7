"""Configuration files: TOML to :class:`..config.RunConfig` and back, and what is wrong with one, in plain words and
all at once.

The parser of TOML names a line and a column ("Invalid value (at line 5, column 9)"), and what is wrong there only for
those who know TOML by heart; pydantic names a type.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

import tomli_w
import tomllib
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ..config import SHIPPED_DATA, DataConfig, RunConfig, problems_of
from ..errors import ConfigError
from ..terminal_text import shell_word
from .append import CONFIG_FILE
from .places import with_settled_models

MAX_CONFIG_BYTES = 1024 * 1024


_ADAPTER = TypeAdapter(RunConfig)

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list in square brackets",
    "dataclass_type": "a section of keys",
}

_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_LONGEST_SHOWN = 80

_CURLY_QUOTES = re.compile(r"[“”„‘’«»]")
_QUOTED_BACKSLASH = re.compile(r'"[^"]*\\')
_OTHERS_WORD = re.compile(r"=\s*(True|False|TRUE|FALSE|None|null|nan|NULL)\b")
_BARE_WORD = re.compile(r"=\s*([A-Za-z~$/][^\s#\"']*)\s*(?:#.*)?$")
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
        raise ConfigError(f"{source} is no TOML file:", [_toml_problem(text, error)]) from error


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


def read_tables(tables: Mapping[str, Any]) -> tuple[RunConfig | None, list[str]]:
    """The configuration in ``tables``, and every problem of it; usable only where there is no problem.

    Values of a wrong type are replaced by their defaults, so that the bounds of all others are still checked.
    """
    try:
        config = _validate(tables)
    except ValidationError as error:
        details = error.errors(include_url=False)
    else:
        return config, problems_of(config)
    problems = [_sentence(item, tables) for item in details]
    remaining = copy.deepcopy(dict(tables))
    for item in details:
        _remove(remaining, item["loc"])
    try:
        config = _validate(remaining)
    except ValidationError:
        return None, problems
    wrong_keys = [_dotted(_keys_of(item["loc"])) for item in details]
    # A combination with a value that had to be replaced says nothing.
    others = [problem for problem in problems_of(config) if not any(key in problem for key in wrong_keys)]
    return config, [*problems, *others]


def _known_keys(section: Any, path: str) -> Iterator[tuple[str, bool]]:
    """Every dotted key of a configuration file, and whether it is a section."""
    for item in dataclasses.fields(section):
        name, value = f"{path}{item.name}", getattr(section, item.name)
        is_section = dataclasses.is_dataclass(value)
        yield name, is_section
        if is_section:
            yield from _known_keys(value, f"{name}.")


def _validate(tables: Mapping[str, Any]) -> RunConfig:
    # JSON, because strict types would refuse a list where the dataclass has a tuple. A date becomes an object,
    # which no key accepts.
    return _ADAPTER.validate_json(json.dumps(tables, default=lambda value: {"unsupported": str(value)}))


def _sentence(item: ErrorDetails, tables: Mapping[str, Any]) -> str:
    name = _dotted(item["loc"])
    value = _value_at(tables, item["loc"])
    if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{name}: unknown key{_suggestion(name, is_section=isinstance(value, Mapping))}"
    if item["type"] == "literal_error":
        expected = str(item.get("ctx", {}).get("expected", "another value"))
    else:
        expected = _EXPECTED.get(item["type"], f"something else ({item['msg']})")
    return f"{name} is {_described(value)}, expected {expected}"


def _suggestion(name: str, *, is_section: bool) -> str:
    known = [key for key, is_known_section in _known_keys(RunConfig(), "") if is_known_section == is_section]
    section, _, leaf = name.rpartition(".")
    # The same name in another section is likelier meant than a similar one beside it.
    same = [key for key in known if key.rpartition(".")[2] == leaf]
    if nearest := same or difflib.get_close_matches(name, known, n=1, cutoff=0.8):
        return f"; did you mean {' or '.join(nearest)}?"
    siblings = [key for key in known if key.rpartition(".")[0] == section]
    return f"; known here: {', '.join(siblings)}" if siblings else ""


def _described(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= 60 else value[:60] + "..."
        return f"the text {json.dumps(shown, ensure_ascii=False)}"
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, (int, float)):
        return str(value)
    return f"the {type(value).__name__} {value}"


def _dotted(location: Sequence[str | int]) -> str:
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    return name.lstrip(".")


def _keys_of(location: Sequence[str | int]) -> list[str | int]:
    """``location`` up to the first list index."""
    keys: list[str | int] = []
    for part in location:
        if isinstance(part, int):
            break
        keys.append(part)
    return keys


def _value_at(tables: Mapping[str, Any], location: Sequence[str | int]) -> Any:
    value: Any = tables
    for part in location:
        value = value[part]
    return value


def _remove(tables: dict[str, Any], location: Sequence[str | int]) -> None:
    *sections, key = _keys_of(location)
    table: Any = tables
    for section in sections:
        table = table[section]
    cast("dict[str | int, Any]", table).pop(key, None)


def _toml_problem(text: str, error: tomllib.TOMLDecodeError) -> str:
    """``error`` of reading ``text`` as TOML, with the line it speaks of and a way out where one is known."""
    told = str(error)
    lines = text.rstrip().splitlines()
    match = _LINE.search(told)
    number = int(match[1]) if match else len(lines)
    if not 0 < number <= len(lines):
        return told
    line = lines[number - 1].strip()
    shown = line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}..."
    hint = _hint(line)
    return f"{told}: {shown}" + (f" - {hint}" if hint else "")


def _hint(line: str) -> str | None:
    if _CURLY_QUOTES.search(line):
        return 'the quotes are curly: write straight ones, "'
    if _QUOTED_BACKSLASH.search(line):
        return "a backslash has a meaning between double quotes: write / or put the text between single quotes"
    if word := _OTHERS_WORD.search(line):
        return (
            f"{word[1]} is written {word[1].lower()} here" if word[1].lower() in ("true", "false") else "leave it out"
        )
    if word := _BARE_WORD.search(line):
        return f'text stands between quotes: "{word[1]}"'
    return None
