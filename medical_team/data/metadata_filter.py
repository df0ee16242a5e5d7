"""Choosing cases by what a file says of them beside MEDEC's columns: ``Difficulty=Hard``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..error_types import error_type_key
from ..errors import UsageError
from .columns import column_key

MAX_VALUES_SHOWN = 12
_VALUES_REMEMBERED = 100


class MetadataFilter:
    """What is wanted of the metadata, as ``COLUMN=VALUE``: one of the values of each column that is named.

    Columns are found by their letters and digits, values whatever their case, spaces and hyphens.

    Raises:
        UsageError: a condition has no ``=``, no column or no value.
    """

    def __init__(self, conditions: Sequence[str] = ()) -> None:
        self._wanted: dict[str, dict[str, str]] = {}
        self._names: dict[str, str] = {}
        self._there: dict[str, dict[str, str]] = {}
        for condition in conditions:
            name, equals, value = condition.partition("=")
            if not equals or not column_key(name) or not error_type_key(value):
                raise UsageError(f"--where is {condition!r}, expected a column and a value, e.g. Difficulty=Hard")
            self._wanted.setdefault(column_key(name), {})[error_type_key(value)] = value.strip()
            self._names[column_key(name)] = name.strip()

    def matches(self, metadata: Mapping[str, str]) -> bool:
        """Whether a case with ``metadata`` is wanted. What is there is remembered."""
        if not self._wanted:
            return True
        values = {column_key(name): value for name, value in metadata.items()}
        for name in metadata:
            self._there.setdefault(column_key(name), {}).setdefault("", name)
        for key, value in values.items():
            if key in self._wanted and len(self._there[key]) <= _VALUES_REMEMBERED:
                self._there[key].setdefault(error_type_key(value), value)
        return all(error_type_key(values.get(key, "")) in wanted for key, wanted in self._wanted.items())

    def check(self, source: str) -> None:
        """Check that each column and each value is there, when all cases were asked about.

        Raises:
            UsageError: one is nowhere; what there is is told.
        """
        for key, wanted in self._wanted.items():
            if key not in self._there:
                columns = ", ".join(repr(names[""]) for names in self._there.values()) or "none beside MEDEC's"
                raise UsageError(f"--where asks for the column {self._names[key]!r}; {source} has {columns}")
            there = {value_key: value for value_key, value in self._there[key].items() if value_key}
            for value_key, value in wanted.items():
                if value_key not in there and len(there) < _VALUES_REMEMBERED:
                    shown = ", ".join(map(repr, list(there.values())[:MAX_VALUES_SHOWN]))
                    more = ", ..." if len(there) > MAX_VALUES_SHOWN else ""
                    raise UsageError(f"--where asks for {self._names[key]}={value}; {source} has {shown}{more}")
