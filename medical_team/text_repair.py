"""Repairs of a note's text: line ends and white space.

The raw text stays what official scoring is done against; what is played with is the repaired text.
"""

from __future__ import annotations

import re

_LINE_END = re.compile(r"\r\n?")


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
