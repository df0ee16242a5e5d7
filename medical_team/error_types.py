"""Names of error types: MEDEC's five, and those of other data sets as they are written there.

Case, spaces, hyphens and underscores make no difference: ``Causal Organism`` is MEDEC's ``causalOrganism``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .records import ErrorType

ERROR_TYPE_SYNONYMS: Mapping[str, ErrorType] = {
    "dosage": ErrorType.PHARMACOTHERAPY,
    "contraindication": ErrorType.PHARMACOTHERAPY,
}
"""What else MEDEC's types are called when they are asked for."""

_NO_DIFFERENCE = re.compile(r"[\s_\-\u2010-\u2015]+")


def error_type_key(name: str) -> str:
    """What names of one error type have in common."""
    return _NO_DIFFERENCE.sub("", name).casefold()


def error_type_named(name: str) -> str:
    """``name`` as MEDEC spells it if it is one of its five, else as it is written."""
    return _MEDEC_NAMES.get(error_type_key(name), " ".join(name.split()))


def in_order(names: Iterable[str]) -> list[str]:
    """Each error type once, as it is first written: MEDEC's in their order, then others by the alphabet."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(error_type_key(name), name)
    others = sorted(first.keys() - _MEDEC_NAMES.keys())
    return [first[key] for key in (*_MEDEC_NAMES, *others) if key in first]


@dataclass(frozen=True)
class WantedErrorTypes:
    """Which error types are wanted, of those that there are. No name at all wants all of them."""

    keys: frozenset[str] | None
    unknown: tuple[str, ...]
    """Names that are neither MEDEC's nor there."""

    @classmethod
    def of(cls, names: Iterable[str], there: Iterable[str]) -> WantedErrorTypes:
        """What ``names`` mean where there are the types ``there``, which go before synonyms."""
        wanted = list(names)
        if not wanted:
            return cls(None, ())
        known = {error_type_key(name) for name in there}
        keys: set[str] = set()
        unknown: list[str] = []
        for name in wanted:
            key = error_type_key(name)
            if key not in known and key in ERROR_TYPE_SYNONYMS:
                key = error_type_key(ERROR_TYPE_SYNONYMS[key])
            keys.add(key)
            if key not in known and key not in _MEDEC_NAMES:
                unknown.append(name)
        return cls(frozenset(keys), tuple(unknown))

    def __contains__(self, name: str) -> bool:
        return self.keys is None or error_type_key(name) in self.keys


_MEDEC_NAMES = {error_type_key(error_type.value): error_type.value for error_type in ErrorType}
