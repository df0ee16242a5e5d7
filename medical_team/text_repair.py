"""Repairs of a note's text: double-encoded characters, line ends, white space.

The raw text stays what official scoring is done against; what is played with is the repaired text.
"""

from __future__ import annotations

import re

# UTF-8 bytes that were once read as cp1252 (or as latin-1, for the five bytes that cp1252 leaves undefined): a
# lead character and its continuation characters. Leads are limited to those of Latin, Greek and Cyrillic letters and
# of three- and four-byte characters: the others are x, O-slash, U-umlaut and sharp s, which stand before a dash or a
# quote in genuine text.
_CONTINUATION = "".join(sorted({bytes([byte]).decode("cp1252", errors="ignore") for byte in range(0x80, 0xC0)})) + (
    "".join(map(chr, range(0x80, 0xC0)))
)
_CONTINUATION_CLASS = f"[{re.escape(_CONTINUATION)}]"
_MOJIBAKE = re.compile(
    f"[\u00c2-\u00d4]{_CONTINUATION_CLASS}"
    f"|[\u00e1-\u00ef]{_CONTINUATION_CLASS}{{2}}"
    f"|[\u00f0-\u00f4]{_CONTINUATION_CLASS}{{3}}"
)
_LINE_END = re.compile(r"\r\n?")


def repair_mojibake(text: str) -> str:
    """``text`` with double-encoded UTF-8 decoded; genuine characters beyond ASCII stay."""
    return text if text.isascii() else _MOJIBAKE.sub(_decoded, text)


def unify_line_ends(text: str) -> str:
    """``text`` with every line end as a line feed."""
    return _LINE_END.sub("\n", text) if "\r" in text else text


def fold_white_space(text: str) -> str:
    """``text`` with each run of white space as one space, and none at either end."""
    return " ".join(text.split())


def find_folded(sentence: str, text: str) -> list[tuple[int, int]]:
    """Start and end of each place where ``text`` holds ``sentence``, any white space for any other."""
    folded = fold_white_space(sentence)
    count = fold_white_space(text).count(folded) if folded else 0
    if count == 0:
        return []
    if text.count(sentence) == count:
        return _exact_places(sentence, text)
    pattern = r"\s+".join(map(re.escape, sentence.split()))
    return [match.span() for match in re.finditer(pattern, text)]


def _exact_places(sentence: str, text: str) -> list[tuple[int, int]]:
    # Far quicker than compiling a pattern for each sentence, and what nearly every note needs.
    places: list[tuple[int, int]] = []
    start = text.find(sentence)
    while start >= 0:
        places.append((start, start + len(sentence)))
        start = text.find(sentence, start + len(sentence))
    return places


def _decoded(match: re.Match[str]) -> str:
    try:
        return b"".join(map(_byte, match.group())).decode("utf-8")
    except UnicodeDecodeError:
        return match.group()


def _byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:
        return character.encode("latin-1")
