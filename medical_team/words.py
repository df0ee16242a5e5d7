"""Words, in whatever script: the unit of every length, share and difference of notes.

A word is what stands between white space. Scripts that put no space between words (Chinese, Japanese, Thai, Lao, Khmer,
Burmese) count by the character, with the marks that belong to it. Punctuation goes with the word beside it. Two lengths
can be compared where both texts are in one language, as a note and its revision are.

Standard library and Python 3.10 alone: the rules of the game count words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u30ff"
    "\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003fffd"
)
"""Characters of scripts without spaces between words, as they stand in a character class of :mod:`re`."""

SPELT_WITH_MARKS = range(0x900, 0x1800)
"""Devanagari to Khmer: there a mark is a vowel. Elsewhere it is an accent, or may be left out."""

_IS_UNSPACED = re.compile(f"[{UNSPACED}]")
_FOLDED_ASCII_WORD = re.compile(r"[^\W_]+")
_OPENING = "\"'(\\[{<«‹“‘„‚「『（［｛【〔〈《〖"
_HAS_NO_MARKS = range(0x3100, 0xA66F)
"""A third of all characters: Chinese."""


@dataclass(frozen=True)
class _Patterns:
    """What finds words beyond ASCII. Made when first needed: finding the marks of all scripts takes a moment."""

    in_token: re.Pattern[str]
    folded: re.Pattern[str]


def has_unspaced_script(text: str) -> bool:
    """Whether a part of ``text`` is in a script that puts no spaces between words."""
    return not text.isascii() and _IS_UNSPACED.search(text) is not None


def words_of(text: str) -> list[str]:
    """The words of ``text`` as written, in order."""
    if not has_unspaced_script(text):
        return text.split()
    return [word for token in text.split() for word in _words_of_token(token)]


def count_words(text: str) -> int:
    """How many words ``text`` has."""
    return len(words_of(text))


def joined(words: Iterable[str]) -> str:
    """``words`` as a text: with spaces between them where their script has any."""
    return "".join(_with_spaces(words))


def folded_words(text: str) -> list[str]:
    """The words of ``text`` with white space, case and punctuation folded away."""
    folded = text.casefold()
    return (_FOLDED_ASCII_WORD if folded.isascii() else _patterns().folded).findall(folded)


@cache
def combining_marks(first: int = 0x300, last: int = 0xABFF) -> str:
    """The combining marks from ``first`` to ``last``, as they stand in a character class of :mod:`re`."""
    ranges: list[list[int]] = []
    for code in range(first, last + 1):
        if _HAS_NO_MARKS.start <= code < _HAS_NO_MARKS.stop or unicodedata.category(chr(code))[0] != "M":
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in ranges)


def vowel_marks() -> str:
    """The marks of the scripts that spell with them, as they stand in a character class of :mod:`re`."""
    return combining_marks(SPELT_WITH_MARKS.start, SPELT_WITH_MARKS.stop - 1)


def _words_of_token(token: str) -> Iterator[str]:
    if not _IS_UNSPACED.search(token):
        yield token
        return
    found = _patterns().in_token.findall(token)
    # Punctuation by itself, as a dash in Japanese, is a word as it is in English.
    yield from found or [token]


def _with_spaces(words: Iterable[str]) -> Iterator[str]:
    previous = ""
    for word in words:
        if previous and not _is_unspaced_at(previous, -1) and not _is_unspaced_at(word, 0):
            yield " "
        yield word
        previous = word


def _is_unspaced_at(word: str, place: int) -> bool:
    """Whether the first or last letter of ``word`` is of a script without spaces."""
    if word.isascii():
        return False
    letters = [character for character in word if character.isalnum() or _IS_UNSPACED.match(character)]
    return bool(letters) and bool(_IS_UNSPACED.match(letters[place]))


@cache
def _patterns() -> _Patterns:
    marks = combining_marks()
    other = rf"(?![{UNSPACED}])\w"
    core = rf"[{UNSPACED}][{marks}]*|(?:{other}[{marks}]*)+(?:[^\w\s{UNSPACED}]+(?:{other}[{marks}]*)+)*"
    return _Patterns(
        in_token=re.compile(rf"[^\w{UNSPACED}]*(?:{core})(?:[^\w{UNSPACED}]+$|[^\w{UNSPACED}{_OPENING}]*)"),
        folded=re.compile(rf"[{UNSPACED}][{marks}]*|(?:(?![{UNSPACED}])[^\W_][{marks}]*)+"),
    )
