"""Words, in whatever script, the unit of every length, share and difference of notes; and sentences: numbered by a
note's file, or split here where the file numbers none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
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
    return (_FOLDED_ASCII_WORD if folded.isascii() else _patterns()[1]).findall(folded)


def fold_white_space(text: str) -> str:
    """``text`` with each run of white space as one space, and none at either end."""
    return " ".join(text.split())


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
    found = _patterns()[0].findall(token)
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
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds words beyond ASCII: within a token, and folded. Finding the marks of all scripts takes a moment."""
    marks = combining_marks()
    other = rf"(?![{UNSPACED}])\w"
    core = rf"[{UNSPACED}][{marks}]*|(?:{other}[{marks}]*)+(?:[^\w\s{UNSPACED}]+(?:{other}[{marks}]*)+)*"
    return (
        re.compile(rf"[^\w{UNSPACED}]*(?:{core})(?:[^\w{UNSPACED}]+$|[^\w{UNSPACED}{_OPENING}]*)"),
        re.compile(rf"[{UNSPACED}][{marks}]*|(?:(?![{UNSPACED}])[^\W_][{marks}]*)+"),
    )


_NUMBERED = re.compile(r"(\d{1,6})(?:\s(.*))?", re.DOTALL)
_TOKEN = re.compile(r"\S+")

END_MARKS = ".!?…。．！？｡؟۔।॥።։။។"
"""Marks that end a sentence, in the scripts that have any."""

MARKS_WITHOUT_SPACE = "。！？｡؟۔।॥።։။។"
"""After these a sentence begins whether or not there is a space."""

DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Unseen marks that set the direction of writing."""

PAUSES = ",;:،؛，；：、"
"""Marks within a sentence, in the same scripts."""

_CLOSING = "\"'”’»)\\]」』）】"
_BREAK = re.compile(
    rf"""
      \n\s*
    | [{MARKS_WITHOUT_SPACE}][{END_MARKS}{_CLOSING}]*\s*
    | [.!?…．]+[{_CLOSING}]*\s+
    | (?<=[^\W\d_]{{2}})[.!?]+ (?=[^\W\d_]{{2}})    # no space after a sentence's end
    """,
    re.VERBOSE,
)
_ABBREVIATIONS = frozenset(
    [
        *("dr", "mr", "mrs", "ms", "prof", "st", "sr", "jr", "vs", "approx", "no"),
        *("nos", "fig", "figs", "ca", "cf", "al", "etc", "e.g", "i.e", "eg", "ie"),
        *("a.m", "p.m", "resp", "incl", "temp", "vol", "pt", "bzw", "z.b", "usw", "inkl"),
        *("ggf", "nr", "dra", "drs", "sra", "mme", "env"),
    ]
)


def numbered_sentences(column: str, text: str = "") -> dict[int, str]:
    """The sentences that a file numbers, by number.

    Args:
        column: what the file has under ``Sentences``: each sentence behind its number, on a line of its own or all on
            one line.
        text: the note itself. Where all are on one line, it tells a number of the text from that of a sentence.

    A line that starts with the next number starts a sentence; any other line goes on with the sentence before it,
    though it may start with a number of its own ("40 mg daily"). Where the file has put two sentences on one line
    ("30 Glucose negative 31 Protein"), the number that follows is taken for a start all the same.
    """
    by_line = _numbered_by_line(column)
    if len(by_line) > 1:
        return by_line
    in_line = _numbered_in_line(column, text)
    return in_line if len(in_line) > len(by_line) else by_line


def split_sentences(text: str) -> list[str]:
    """The sentences of ``text``, without the white space around them."""
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence of ``text``, without the white space around it."""
    starts = [0, *(match.end() for match in _BREAK.finditer(text) if _ends_sentence(match, text))]
    spans: list[tuple[int, int]] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        stripped = part.strip()
        if stripped:
            begin = start + part.index(stripped)
            spans.append((begin, begin + len(stripped)))
    return spans


def _ends_sentence(match: re.Match[str], text: str) -> bool:
    marks = match.group()
    if "\n" in marks or marks[0] in MARKS_WITHOUT_SPACE:
        return True
    following = text[match.end() : match.end() + 2]
    if not marks[-1].isspace():
        return following[:1].isupper() and following[1:].islower()
    if marks[0] != ".":
        return not following[:1].islower()
    word = text[: match.start()].rsplit(maxsplit=1)[-1:] or [""]
    last = word[0].lstrip("(\"'“‘«").casefold()
    is_short = last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha())
    is_list_number = last.isdigit() and match.start() - len(last) == text.rfind("\n", 0, match.start()) + 1
    return not is_short and not is_list_number and not following[:1].islower()


def _numbered_by_line(column: str) -> dict[int, str]:
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


def _numbered_in_line(column: str, text: str) -> dict[int, str]:
    tokens = list(_TOKEN.finditer(column))
    if not tokens or tokens[0].group() != "0":
        return {}
    starts = [tokens[0]]
    # What of the note no sentence has taken, and what of the column is the sentence so far: both without white space.
    rest, piece = "".join(text.split()), ""
    for token in tokens[1:-1]:
        number = str(len(starts))
        is_taken = rest.startswith(piece)
        is_end = piece.endswith(tuple(END_MARKS if is_taken else END_MARKS + PAUSES))
        goes_on_otherwise = is_taken and not rest.startswith(number, len(piece))
        if token.group() == number and piece and (is_end or goes_on_otherwise):
            rest = rest.partition(piece)[2] if piece in rest else rest
            starts.append(token)
            piece = ""
        else:
            piece += token.group()
    ends = [*(token.start() for token in starts[1:]), len(column)]
    return {number: column[token.end() : ends[number]].strip() for number, token in enumerate(starts)}
