"""Making any text safe to show: no character of it can drive a terminal, and none stops a stream that lacks it."""

from __future__ import annotations

import unicodedata
from typing import IO

_KEPT_CONTROLS = "\n\t"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    """``text`` with control, bidirectional and other unseen characters written as escapes such as ``\\x1b``."""
    return "".join(_escaped(character) if _is_hidden(character) else character for character in text)


def encodable(text: str, stream: IO[str]) -> str:
    """``text`` with what ``stream`` has no bytes for written as escapes."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _is_hidden(character: str) -> bool:
    return character not in _KEPT_CONTROLS and unicodedata.category(character) in _HIDDEN_CATEGORIES


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
