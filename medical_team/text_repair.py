"""Repairs of a note's text: line ends, white space, and text whose UTF-8 was read in an older encoding, as it was
before."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from html.entities import html5

from .words import fold_white_space

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_UNSEEN = str.maketrans(dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""))
_LINE_END = re.compile(r"\r\n?")
DIRECTION_MARKS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Unseen marks that set the direction of writing."""
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

# What a sequence may stand for. Symbols and Latin letters may stand alone; letters of another script make words.
_SYMBOLS = (
    "\u0080-\u00bf×÷ƒˆˇ˘˙˚˛˜˝ʻʼ\u200b-\u206f\u2070-\u209c\u20a0-\u20bf\u2100-\u215f\u2190-\u23ff"
    "\u25a0-\u27bf\ufb00-\ufb04\ufe0f\ufeff\ufffd\uf8ff\U0001f000-\U0001faff"
)
_LATIN = "À-ÖØ-öø-ſƁƆƉƊƎ-ƐƔƘƙƠơƯưƱƲƳƴǝȘ-țɑɓɔɖɗəɛɡɣʊʋ\u1e00-\u1eff"
_COMBINING = "\u0300-\u030c\u0323\u0327\u0328"
_GREEK = "\u0384-\u03ceϑϕ\u1f00-\u1ffe"
_FOREIGN = (
    "\u0400-\u058f\u0591-\u05f4\u0600-\u06ff\u0750-\u077f\u0900-\u137f\u1780-\u18af\u2c00-\u2dff\u3000-\u4dbf"
    "\u4e00-\u9fff\ua640-\ua69f\uac00-\ud7a3\uf900-\ufaff\ufb1d-\ufdff\ufe70-\ufefc\uff00-\uffef\U00020000-\U0002fa1f"
)
_WRITTEN = re.compile(f"[{_SYMBOLS}{_LATIN}{_COMBINING}{_GREEK}{_FOREIGN}]")
_IS_FOREIGN = re.compile(f"[{_FOREIGN}]")
_IS_COMBINING = re.compile(f"[{_COMBINING}]")
_FEWEST_FOREIGN = 3
"""So many characters of another script in a row are its words; fewer may be chance."""

# What somebody may write beside a character that begins a sequence.
_WORDS_OF_ONE_CAPITAL = "ÅÉÈÓÖØ"
_MARKS_BEHIND_WORDS = "\u00a0…’”“‘›‹»«–—•™®©°ºª²³¹·†‡§\u00ad"
_MARKS_IN_PAIRS = "\u00a0…’”›»"
_JOINING_MARKS = "\u00a0…’–—·•"
_MARKS_BEFORE_WORDS = "«»“”‘’‹›„‚–—…·\u00a0"
_QUANTITIES = "π∑∏Ω∂∞±µ∫°"

# Control characters that no text holds. Where latin-1 has them, cp1252 has dashes and quotation marks.
_CONTROLS = frozenset(map(chr, range(0x80, 0xA0)))
_CONTROLS_DECODED = {
    ord(control): decoded for control in _CONTROLS if (decoded := control.encode("latin-1").decode("cp1252", "ignore"))
}

_Sequence = tuple[int, int, str]
"""Where characters start and end that stand for one, and that one."""


@dataclass(frozen=True)
class _Alphabet:
    """An encoding that UTF-8 was taken for."""

    byte_of: Mapping[str, int]
    runs: re.Pattern[str]
    sequence: re.Pattern[str]


def repair_mojibake(text: str) -> str:
    """``text`` with misread UTF-8 decoded, however often it was misread; what is right stays as it is."""
    return decode_mojibake(text)[0]


def decode_mojibake(text: str) -> tuple[str, frozenset[Misreading]]:
    """As :func:`repair_mojibake`, and what the text had been taken for."""
    found: set[Misreading] = set()
    for _ in range(0 if text.isascii() else _MOST_ROUNDS):
        # Garbage of one kind may look like that of the other here and there: the one that explains more of it is right.
        readings = [(_misread(text, misreading), misreading) for misreading in _ALPHABETS]
        sequences, misreading = max(readings, key=lambda reading: sum(end - start for start, end, _ in reading[0]))
        if sequences:
            decoded = _replaced(text, sequences)
        else:
            decoded, misreading = text.translate(_CONTROLS_DECODED), Misreading.LATIN_1
        if decoded == text:
            break
        found.add(misreading)
        text = decoded
    return text, frozenset(found)


def _misread(text: str, misreading: Misreading) -> list[_Sequence]:
    """The sequences of ``text`` to decode."""
    alphabet = _ALPHABETS[misreading]
    certain: list[_Sequence] = []
    possible: list[_Sequence] = []
    is_all_misread = True
    for run in alphabet.runs.finditer(text):
        places = [match.span() for match in alphabet.sequence.finditer(text, *run.span())]
        characters = [_character(text[start:end], alphabet) for start, end in places]
        foreign = sum(bool(_IS_FOREIGN.match(character)) for character in characters)
        for (start, end), character in zip(places, characters, strict=True):
            before, behind = text[max(0, start - 2) : start], text[end : end + 1]
            if not _WRITTEN.match(character) or (_IS_COMBINING.match(character) and not before[-1:].isalpha()):
                is_all_misread = False
                continue
            may_be_right = _may_be_right(before, text[start:end], behind, character, misreading)
            if _IS_FOREIGN.match(character):
                may_be_right = foreign < _FEWEST_FOREIGN and (may_be_right or (foreign == 1 and end - start == 2))
            (possible if may_be_right else certain).append((start, end, character))
    if certain and possible and is_all_misread and not _has_letters_beyond_ascii(alphabet.runs.sub("", text)):
        return sorted(certain + possible)
    return certain


def _may_be_right(before: str, sequence: str, behind: str, character: str, misreading: Misreading) -> bool:
    """Whether somebody may have written ``sequence``, which may stand for ``character``, between its neighbours."""
    if misreading is Misreading.MAC_ROMAN:
        return len(sequence) == 2 and _may_be_right_on_a_mac(before[-1:], sequence, behind, character)
    first, marks = sequence[0], sequence[1:]
    if marks == "±":
        return first in "ÄÅ" and not before[-1:].islower() and not behind.isalpha()
    if marks == "\u00ad":
        return before[-1:].isupper() and behind.isupper()
    if any(mark not in _MARKS_BEHIND_WORDS for mark in marks) or (behind.isalnum() and marks[-1] not in _JOINING_MARKS):
        return False
    if not first.isalpha():
        return True
    if first.islower():
        is_among_letters = before[-1:].isalpha() or bool(_IS_FOREIGN.match(character))
        return is_among_letters and all(mark in _MARKS_IN_PAIRS for mark in marks)
    if not before[-1:].isalpha():
        return first in _WORDS_OF_ONE_CAPITAL or (first == "Â" and character in _CONTROLS)
    is_in_capitals = before[-1].isupper()
    # One capital before it: LÃ may be a word in capitals, but TÃª is Tê.
    is_like_a_name = first == "Ã" and character.islower() and not before[:-1].isalpha() and marks not in "\u00a0»°"
    return is_in_capitals and not is_like_a_name


def _may_be_right_on_a_mac(before: str, sequence: str, behind: str, character: str) -> bool:
    first, second = sequence
    if first in _MARKS_BEFORE_WORDS:
        return not before.isalnum() or first in _JOINING_MARKS
    if first in "√≈∆ƒ":
        is_of_quantity = second in _QUANTITIES and not behind.isalpha()
        is_ticked = first == "√" and second.isalpha() and character.isalpha()
        return not before.isalnum() and (is_of_quantity or is_ticked)
    return first.isupper() and second.isalpha() and before.isupper()


def _character(sequence: str, alphabet: _Alphabet) -> str:
    try:
        return bytes(map(alphabet.byte_of.__getitem__, sequence)).decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _has_letters_beyond_ascii(text: str) -> bool:
    return not text.isascii() and any(character.isalpha() and not character.isascii() for character in text)


def _replaced(text: str, sequences: Sequence[_Sequence]) -> str:
    parts: list[str] = []
    position = 0
    for start, end, character in sequences:
        parts += [text[position:start], character]
        position = end
    return "".join([*parts, text[position:]])


def _alphabet(encoding: str) -> _Alphabet:
    byte_of = {chr(byte): byte for byte in range(0x80, 0xA0)} if encoding == "cp1252" else {}
    for byte in range(0x80, 0x100):
        character = bytes([byte]).decode(encoding, errors="ignore")
        if character:
            byte_of[character] = byte

    def among(first: int, last: int) -> str:
        return f"[{re.escape(''.join(character for character, byte in byte_of.items() if first <= byte <= last))}]"

    further = among(0x80, 0xBF)
    sequence = "|".join(
        [f"{among(0xC2, 0xDF)}{further}", f"{among(0xE0, 0xEF)}{further}{{2}}", f"{among(0xF0, 0xF4)}{further}{{3}}"]
    )
    return _Alphabet(byte_of, re.compile(f"(?:{sequence})+"), re.compile(sequence))


_ALPHABETS = {
    Misreading.CP1252: _alphabet("cp1252"),
    Misreading.MAC_ROMAN: _alphabet("mac_roman"),
}
