"""Repairs of a note's text: line ends, white space, and text whose UTF-8 was read in an older encoding, as it was
before."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from html.entities import html5

from .words import DIRECTION_MARKS, fold_white_space

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_UNSEEN = str.maketrans(dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""))
_LINE_END = re.compile(r"\r\n?")
_UNTOLD = re.compile(f"[\u0640\u064b-\u0652\u0670{DIRECTION_MARKS}]")
"""What is written or left out at will: these marks, and Arabic's long strokes and short vowels."""
_ALIKE = str.maketrans(dict.fromkeys("‘’‚‛´`", "'") | dict.fromkeys("“”„«»", '"') | dict.fromkeys("‐‑‒–—−", "-"))


def whole_text(text: str) -> str:
    """``text`` with a mark in the place of halves of characters, which JSON can hold and UTF-8 can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


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
    """As :func:`find_folded`, whatever the case, the kind of quotation marks and dashes, the white space, the marks of
    the direction of writing, and Arabic's short vowels."""
    wanted, _ = _alike(sentence)
    folded, origins = _alike(text)
    places = _exact_places(wanted, folded) if wanted else []
    return [(origins[start], _behind_untold(text, origins[end - 1] + 1)) for start, end in places]


def _character_of_entity(entity: re.Match[str]) -> str:
    name = entity[0]
    # A name that is not known as a whole would be read up to where it is one.
    is_known = name[1] == "#" or name[1:] in html5
    return html.unescape(name) if is_known else name


def _behind_untold(text: str, place: int) -> int:
    """``place``, or where the marks that belong to the character before it end."""
    while _UNTOLD.match(text, place):
        place += 1
    return place


def _alike(text: str) -> tuple[str, list[int]]:
    """``text`` as it is compared, and where each of its characters comes from."""
    folded: list[str] = []
    origins: list[int] = []
    for place, character in enumerate(text):
        for part in unicodedata.normalize("NFKC", character.translate(_ALIKE)).casefold():
            if not part.isspace() and not _UNTOLD.match(part):
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


class Misreading(str, Enum):
    """What was taken for what."""

    CP1252 = "UTF-8 read as cp1252"
    MAC_ROMAN = "UTF-8 read as Mac Roman"
    LATIN_1 = "cp1252 read as latin-1"


_MOST_ROUNDS = 8
"""More often than anybody's file was misread."""
_MANY = 4
"""So many sequences, and no other character beyond ASCII, are no chance."""

# What a single sequence is taken for, whatever stands beside it: symbols, Greek and Western letters.
_SYMBOL = re.compile("[\u00a0-\u00bf×ƒˆ˚˜\u2000-\u2bff\uf8ff\ufb00-\ufb04\ufe0f\ufeff\ufffd\U0001f000-\U0001faff]")
_GREEK = re.compile("[\u0384-\u03ceϑϕɑ]")
_WESTERN = re.compile("[À-ÖØ-öø-ÿŒœŠšŸŽž]")

# Control characters that no text holds. Where latin-1 has them, cp1252 has dashes and quotation marks.
_CONTROLS_DECODED = {
    control: decoded for control in range(0x80, 0xA0) if (decoded := bytes([control]).decode("cp1252", "ignore"))
}


@dataclass(frozen=True)
class _Alphabet:
    """An encoding that UTF-8 was taken for."""

    byte_of: Mapping[str, int]
    sequence: re.Pattern[str]
    """What may stand for one character."""


def repair_mojibake(text: str) -> str:
    """``text`` with misread UTF-8 decoded, however often it was misread; what is right stays as it is."""
    return decode_mojibake(text)[0]


def decode_mojibake(text: str) -> tuple[str, frozenset[Misreading]]:
    """As :func:`repair_mojibake`, and what the text had been taken for.

    A text that is garbage from its first to its last character beyond ASCII is decoded as a whole. In any other, what
    stands for a symbol, a Greek or a Western letter is decoded, unless somebody may have written it there.
    """
    found: set[Misreading] = set()
    for _ in range(0 if text.isascii() else _MOST_ROUNDS):
        # Garbage of one kind may look like that of the other here and there: the one that explains more of it is right.
        readings = [(_decoded(text, misreading), misreading) for misreading in _ALPHABETS]
        decoded, misreading = min(readings, key=lambda reading: len(reading[0]))
        if decoded == text:
            decoded, misreading = text.translate(_CONTROLS_DECODED), Misreading.LATIN_1
        if decoded == text:
            break
        found.add(misreading)
        text = decoded
    return text, frozenset(found)


def _decoded(text: str, misreading: Misreading) -> str:
    alphabet = _ALPHABETS[misreading]
    found = [(match, _character(match.group(), alphabet)) for match in alphabet.sequence.finditer(text)]
    certain = [
        (match, character)
        for match, character in found
        if _is_certain(text[max(0, match.start() - 2) : match.start()], match.group(), character, misreading)
    ]
    is_whole = all(character for _, character in found) and alphabet.sequence.sub("", text).isascii()
    if is_whole and (certain or len(found) >= _MANY):
        certain = found
    parts: list[str] = []
    end = 0
    for match, character in certain:
        parts += [text[end : match.start()], character]
        end = match.end()
    return "".join([*parts, text[end:]])


def _is_certain(before: str, sequence: str, character: str, misreading: Misreading) -> bool:
    """Whether nobody has written ``sequence`` behind ``before``, so that it stands for ``character``."""
    if len(before) == len(sequence) == 2 and before.isupper() and before.isalpha():
        # A word in capitals may end so: MANHÃ, and a no-break space.
        return False
    if _WESTERN.match(character):
        # On a Mac √ and a letter may be a root.
        return misreading is Misreading.CP1252 or before[-1:].isalpha()
    return bool(_SYMBOL.match(character) or _GREEK.match(character))


def _character(sequence: str, alphabet: _Alphabet) -> str:
    """What ``sequence`` stands for; nothing where its bytes are no UTF-8."""
    return bytes(map(alphabet.byte_of.__getitem__, sequence)).decode("utf-8", "ignore")


def _alphabet(encoding: str) -> _Alphabet:
    byte_of = {chr(byte): byte for byte in range(0x80, 0xA0)} if encoding == "cp1252" else {}
    byte_of |= {
        character: byte for byte in range(0x80, 0x100) if (character := bytes([byte]).decode(encoding, "ignore"))
    }

    def among(first: int, last: int) -> str:
        return f"[{re.escape(''.join(character for character, byte in byte_of.items() if first <= byte <= last))}]"

    further = among(0x80, 0xBF)
    sequence = "|".join(
        [f"{among(0xC2, 0xDF)}{further}", f"{among(0xE0, 0xEF)}{further}{{2}}", f"{among(0xF0, 0xF4)}{further}{{3}}"]
    )
    return _Alphabet(byte_of, re.compile(sequence))


_ALPHABETS = {
    Misreading.CP1252: _alphabet("cp1252"),
    Misreading.MAC_ROMAN: _alphabet("mac_roman"),
}
