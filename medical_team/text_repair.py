"""Repairs of a note's text: line ends, white space, and characters that are written in another way.

The raw text stays what official scoring is done against; what is played with is the repaired text.
"""

from __future__ import annotations

import html
import re
import unicodedata
from html.entities import html5

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_UNSEEN = str.maketrans(dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""))
_LINE_END = re.compile(r"\r\n?")
_ALIKE = str.maketrans(dict.fromkeys("‘’‚‛´`", "'") | dict.fromkeys("“”„«»", '"') | dict.fromkeys("‐‑‒–—−", "-"))


def unify_line_ends(text: str) -> str:
    """``text`` with every line end as a line feed."""
    return _LINE_END.sub("\n", text) if "\r" in text else text


def decode_entities(text: str) -> str:
    """``text`` with HTML's names of characters, such as ``&lt;``, as these characters, also where they are nested."""
    while "&" in text and (decoded := _ENTITY.sub(_character_of_entity, text)) != text:
        text = decoded
    return text


def join_marks(text: str) -> str:
    """``text`` with each letter and the accent that follows it as one character (NFC), as macOS parts them."""
    return unicodedata.normalize("NFC", text)


def drop_unseen(text: str) -> str:
    """``text`` without the characters of no width that web pages and word processors leave inside words."""
    return text.translate(_UNSEEN)


def fold_white_space(text: str) -> str:
    """``text`` with each run of white space as one space, and none at either end."""
    return " ".join(text.split())


def find_folded(sentence: str, text: str) -> list[tuple[int, int]]:
    """Start and end of each place where ``text`` holds ``sentence``, any white space for any other."""
    folded = fold_white_space(sentence)
    count = len(_exact_places(folded, fold_white_space(text))) if folded else 0
    if count == 0:
        return []
    exact = _exact_places(sentence, text)
    if len(exact) == count:
        # Far quicker than compiling a pattern for each sentence, and what nearly every note needs.
        return exact
    pattern = r"\s+".join(map(re.escape, sentence.split()))
    return [match.span(1) for match in re.finditer(f"(?=({pattern}))", text)]


def find_alike(sentence: str, text: str) -> list[tuple[int, int]]:
    """As :func:`find_folded`, whatever the case, the kind of quotation marks and dashes, and the white space."""
    wanted, _ = _alike(sentence)
    folded, origins = _alike(text)
    return [(origins[start], origins[end - 1] + 1) for start, end in _exact_places(wanted, folded)] if wanted else []


def _character_of_entity(entity: re.Match[str]) -> str:
    name = entity[0]
    # A name that is not known as a whole would be read up to where it is one.
    is_known = name[1] == "#" or name[1:] in html5
    return html.unescape(name) if is_known else name


def _alike(text: str) -> tuple[str, list[int]]:
    """``text`` as it is compared, and where each of its characters comes from."""
    folded: list[str] = []
    origins: list[int] = []
    for place, character in enumerate(text):
        for part in unicodedata.normalize("NFKC", character.translate(_ALIKE)).casefold():
            if not part.isspace():
                folded.append(part)
                origins.append(place)
    return "".join(folded), origins


def _exact_places(sentence: str, text: str) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    start = text.find(sentence)
    while start >= 0:
        places.append((start, start + len(sentence)))
        start = text.find(sentence, start + 1)
    return places
