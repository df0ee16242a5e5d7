"""Bounds of configuration values: written beside each field, checked all at once."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import field, fields, is_dataclass
from typing import Any, cast


def bounded(
    default: float | None, minimum: float | None = None, maximum: float | None = None, *, above: float | None = None
) -> Any:
    """A field with bounds: ``minimum`` and ``maximum`` are allowed values, ``above`` is not."""
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum, "above": above})


def _text_problems(name: str, text: object) -> Iterator[str]:
    if not isinstance(text, str):
        return
    if any(unicodedata.category(character) == "Cc" for character in text):
        yield f"{name} is {text!a}, expected a text without control characters"
    elif any(unicodedata.category(character) == "Cs" for character in text):
        yield f"{name} is {text!a}, which is no UTF-8: a run could not be saved with it. Choose another name"


def bound_problems(section: Any, path: str) -> Iterator[str]:
    """Every number in ``section`` and the sections in it that is out of bounds, as sentences naming the option."""
    for item in fields(section):
        name, value = f"{path}{item.name}", getattr(section, item.name)
        if is_dataclass(value):
            yield from bound_problems(value, f"{name}.")
            continue
        for text in cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,):
            yield from _text_problems(name, text)
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name} is {value}, expected a finite number"
            continue
        minimum, maximum, above = (item.metadata.get(bound) for bound in ("minimum", "maximum", "above"))
        if minimum is not None and value < minimum:
            yield f"{name} is {value}, expected at least {minimum}"
        if above is not None and value <= above:
            yield f"{name} is {value}, expected more than {above}"
        if maximum is not None and value > maximum:
            yield f"{name} is {value}, expected at most {maximum}"
