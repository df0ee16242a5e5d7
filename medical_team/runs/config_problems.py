"""What is wrong with a configuration, in plain words and all at once: where a text is no TOML, and which keys and
values can't be used.

The parser of TOML names a line and a column ("Invalid value (at line 5, column 9)"), and what is wrong there only for
those who know TOML by heart; pydantic names a type.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

import tomllib
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ..config import RunConfig, problems_of

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


def known_keys() -> dict[str, bool]:
    """Every dotted key of a configuration file, and whether it is a section."""
    return dict(_known_keys(RunConfig(), ""))


def _known_keys(section: Any, path: str) -> Iterator[tuple[str, bool]]:
    for item in fields(section):
        name, value = f"{path}{item.name}", getattr(section, item.name)
        is_section = is_dataclass(value)
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
    known = [key for key, is_known_section in known_keys().items() if is_known_section == is_section]
    section, _, leaf = name.rpartition(".")
    siblings = [key for key in known if key.rpartition(".")[0] == section]
    # The same name in another section is likelier meant than a similar one beside it.
    nearest = (
        " or ".join(key for key in known if key.rpartition(".")[2] == leaf)
        or _with_leaf_like(leaf, siblings, 0.6)
        or _with_leaf_like(leaf, known, 0.7)
    )
    if nearest:
        return f"; did you mean {nearest}?"
    return f"; known here: {', '.join(siblings)}" if siblings else ""


def _with_leaf_like(leaf: str, keys: Sequence[str], cutoff: float) -> str | None:
    by_leaf = {key.rpartition(".")[2]: key for key in reversed(keys)}
    matches = difflib.get_close_matches(leaf, by_leaf, n=1, cutoff=cutoff)
    return by_leaf[matches[0]] if matches else None


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


_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_LONGEST_SHOWN = 80

_CURLY_QUOTES = re.compile(r"[“”„‘’«»]")
_QUOTED_BACKSLASH = re.compile(r'"[^"]*\\')
_YAML = re.compile(r"\s*[\w.\-]+\s*:(?:\s|$)")
_OTHERS_WORD = re.compile(r"=\s*(True|False|TRUE|FALSE|None|null|nan|NULL)\b")
_BARE_WORD = re.compile(r"=\s*([A-Za-z~$/][^\s#\"']*)\s*(?:#.*)?$")


def toml_problem(text: str, error: tomllib.TOMLDecodeError) -> str:
    """``error`` of reading ``text`` as TOML, with the line it speaks of and a way out where one is known."""
    told = str(error)
    lines = text.rstrip().splitlines()
    match = _LINE.search(told)
    number = int(match[1]) if match else len(lines)
    if not 0 < number <= len(lines):
        return told
    line = lines[number - 1].strip()
    shown = line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}..."
    hint = _hint(text, line, told)
    return f"{told}: {shown}" + (f" - {hint}" if hint else "")


def _hint(text: str, line: str, told: str) -> str | None:
    if told.startswith("Cannot overwrite"):
        return "this key stands twice in its section: leave one"
    if told.startswith("Cannot declare"):
        return "this section stands twice: put its keys under the first"
    if text.lstrip().startswith("{"):
        return "this is JSON; write [section] and key = value on lines of their own"
    if _CURLY_QUOTES.search(line):
        return 'the quotes are curly: write straight ones, "'
    if _QUOTED_BACKSLASH.search(line):
        return "a backslash has a meaning between double quotes: write / or put the text between single quotes"
    if word := _OTHERS_WORD.search(line):
        return (
            f"{word[1]} is written {word[1].lower()} here" if word[1].lower() in ("true", "false") else "leave it out"
        )
    if _YAML.match(line):
        return "this is YAML; write [section], and key = value"
    if word := _BARE_WORD.search(line):
        return f'text stands between quotes: "{word[1]}"'
    return None
