"""A run's configuration out of nested tables, with everything that is wrong in plain words and dotted keys."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

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
        _with_leaf_like(leaf, known, 1.0) or _with_leaf_like(leaf, siblings, 0.6) or _with_leaf_like(leaf, known, 0.7)
    )
    if nearest is not None:
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
