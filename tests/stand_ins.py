"""Functions that stand in for others in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

ValueT = TypeVar("ValueT")


def always(value: ValueT) -> Callable[..., ValueT]:
    """A function that gives ``value`` whatever it is called with."""

    def given(*_: object, **__: object) -> ValueT:
        return value

    return given
