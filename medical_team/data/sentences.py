"""The numbered sentences of a MEDEC note: the column ``Sentences``."""

from __future__ import annotations

import re

_NUMBERED = re.compile(r"(\d{1,6})(?:\s(.*))?", re.DOTALL)


def numbered_sentences(column: str) -> dict[int, str]:
    """The sentences by number.

    A line that starts with the next number starts a sentence; any other line goes on with the sentence before it,
    though it may start with a number of its own ("40 mg daily"). Where the file has put two sentences on one line
    ("30 Glucose negative 31 Protein"), the number that follows is taken for a start all the same.
    """
    sentences: dict[int, str] = {}
    expected, current = 0, -1
    for line in column.splitlines():
        match = _NUMBERED.fullmatch(line)
        if match and _starts_sentence(int(match.group(1)), expected, sentences.get(current, "")):
            current = int(match.group(1))
            sentences[current] = match.group(2) or ""
            expected = current + 1
        elif current >= 0:
            sentences[current] += f"\n{line}"
    return sentences


def _starts_sentence(number: int, expected: int, previous: str) -> bool:
    return number == expected or (number == expected + 1 and f" {expected} " in f" {previous} ")
