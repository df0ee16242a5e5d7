"""A note as words: read past looks (case, white space, punctuation), and past wording that means the same.

Numbers keep their decimal points, ratios and signs, since 0.5 is not 5 and "< 4" is not "> 4". What can't be seen,
or only looks like a letter, is never read past: :func:`strange_characters` names it, and the judge abstains.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, chain

from ..words import END_MARKS, MARKS_WITHOUT_SPACE, PAUSES, SPELT_WITH_MARKS, vowel_marks
from .exchangeable import Words, plain_words
from .lexicon import GOVERNING, LEAD_IN_WORDS, OTHER_PERSONS

_MARKS = vowel_marks()

_TOKEN = re.compile(
    rf"""
      (?P<number> (?: (?<![\w.]) \. )? \d+ (?: [.,/:^-] \d+ )* )
    | (?P<prefix> (?<! [^\W_] ) (?: an? | i[lmnr] | un | de | dis ) - (?= [^\W\d_] ) )
    | (?P<word> [^\W\d_]+ (?: [{_MARKS}]+ [^\W\d_]* )* (?: ' [^\W\d_]+ )* \d* )
    | (?P<rate> / \s* (?= (?: min | minute | h | hr | hour | d | day | wk | week | mo | month | yr | year
                            | kg | l | dl | ml | cl | mm3 | hpf | μl | ul ) \b ) )
    | (?P<slash> (?<= [^\W\d_] ) / (?= [^\W\d_] ) )
    | (?P<hyphen> (?<= [^\W_] ) - (?= [^\W_] ) (?! (?: less | free ) \b ) | (?<! \S ) - (?= \s+ [^\s\d,.;:)] ) )
    | (?P<sign> <= | >= | [-<>=%+±~^&/] )
    | (?P<end> [.!?] (?= [\s"')\]] | $ ) | (?<= [^\W\d_]{{3}} ) \. (?= [^\W\d_]{{2}} )
            | [{MARKS_WITHOUT_SPACE}] )
    | (?P<pause> [;:؛] )
    | (?P<break> [,()،、] )
    """,
    re.VERBOSE,
)
_SENTENCE_BREAK = re.compile(rf"(?<=[{END_MARKS}])\s+|(?<=[{MARKS_WITHOUT_SPACE}])")
_WORD_OR_MARK = re.compile(rf"[^\W_]+|[{END_MARKS}{PAUSES}]")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_DECIMAL = re.compile(r"\d*\.\d+")
_TELLING_MARKS = re.compile(
    r"""
      [?؟"`\[\]{}|\\~@$] | \# | !(?=[\w=]) | <(?=[a-z/!]) | (?<=\d)' | (?<!\w)'(?=\w)
    | \b (?: no | not | never | without | denies ) \b ["')*_]* \s* [,(]
    | [("'] \s* (?: no | not ) \s* [)"']
    """,
    re.VERBOSE,
)

_TYPOGRAPHY = {
    **dict.fromkeys("‘’ʼ′", "'"),
    **dict.fromkeys("“”″", '"'),
    **dict.fromkeys("‐‑–−", "-"),
    **dict.fromkeys("•·", " "),
    **dict.fromkeys("°˚º\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}", " "),
    "—": " - ",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "×": "x",
    "µ": "μ",
    "μ": "μ",
}
_SUPERSCRIPTS = {character: f"^{digit}" for digit, character in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_READ_AS = str.maketrans({**_TYPOGRAPHY, **_SUPERSCRIPTS})
_HARMLESS = frozenset(_TYPOGRAPHY)
_OPENING_A_SCOPE = GOVERNING | OTHER_PERSONS
_FIRST_CYRILLIC = 0x400
_AT_HOME = ("LATIN", "GREEK")

_PASSAGES_KEPT = 8192
_LONGEST_KEPT_PASSAGE = 400


@dataclass(frozen=True)
class Clause:
    """Words up to a full stop, semicolon or colon, in their plain form."""

    plain: Words
    is_sentence_end: bool
    breaks: tuple[int, ...] = ()
    """After how many plain words a comma, bracket or dash stands."""

    @cached_property
    def governed_breaks(self) -> tuple[int, ...]:
        """Those behind a negation, a condition or another person, of which they may take back the rest."""
        first = next((index for index, word in enumerate(self.plain) if word in _OPENING_A_SCOPE), len(self.plain))
        return tuple(place for place in self.breaks if place > first)


@dataclass(frozen=True)
class Passage:
    """A stretch of a note that can be read by itself."""

    words: Words
    plain: Words
    clauses: tuple[Clause, ...]
    scopes: tuple[Words, ...]
    """What stands after each negation, condition or other person, up to the end of its clause; in other scripts than
    Latin, whose negations nobody lists here, the whole passage with its punctuation."""
    marks: Words


@dataclass(frozen=True)
class Wording:
    """One note. ``words`` are as written, but for case; ``plain`` words are the same where the meaning is."""

    passages: tuple[Passage, ...]
    words: Words
    plain: Words
    marks: Words
    """Marks that can take back what they surround, such as a question mark, each as often as it occurs."""

    @classmethod
    def of(cls, text: str) -> Wording:
        """Read ``text``.

        No word, mark or clause reaches over the white space behind a full stop, or over one that needs none, so that
        what stands between two of them is read by itself: a revision keeps most sentences of its note, and those aren't
        read again.
        """
        passages: list[Passage] = []
        is_beginning = True
        for part in _SENTENCE_BREAK.split(text):
            kept_read = _kept_passage if len(part) <= _LONGEST_KEPT_PASSAGE else _read_passage
            passage = kept_read(part, is_beginning)
            passages.append(passage)
            is_beginning = is_beginning and not passage.clauses
        return cls(
            tuple(passages),
            words=tuple(chain.from_iterable([passage.words for passage in passages])),
            plain=tuple(chain.from_iterable([passage.plain for passage in passages])),
            marks=tuple(chain.from_iterable([passage.marks for passage in passages])),
        )

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The clauses, in order."""
        return tuple(chain.from_iterable(passage.clauses for passage in self.passages))

    @cached_property
    def breaks(self) -> frozenset[int]:
        """After how many plain words of the note a comma, bracket or dash stands."""
        return frozenset(start + place for start, clause in self._placed_clauses() for place in clause.breaks)

    @cached_property
    def governed_breaks(self) -> frozenset[int]:
        """Those behind a negation, a condition or another person in their clause."""
        return frozenset(start + place for start, clause in self._placed_clauses() for place in clause.governed_breaks)

    def _placed_clauses(self) -> Iterator[tuple[int, Clause]]:
        start = 0
        for clause in self.clauses:
            yield start, clause
            start += len(clause.plain)

    @cached_property
    def spaced_words(self) -> str:
        """The words as :func:`times_within` wants them."""
        return spaced(self.words)

    @cached_property
    def spaced_plain(self) -> str:
        """The plain words as :func:`times_within` wants them."""
        return spaced(self.plain)

    @cached_property
    def sentences(self) -> tuple[Words, ...]:
        """The plain words of each sentence."""
        sentences: list[Words] = []
        current: list[str] = []
        for clause in self.clauses:
            current.extend(clause.plain)
            if clause.is_sentence_end:
                sentences.append(tuple(current))
                current = []
        if current:
            sentences.append(tuple(current))
        return tuple(sentences)

    @cached_property
    def scopes(self) -> list[Words]:
        """What is negated, conditional or said of another person, in order."""
        return list(chain.from_iterable([passage.scopes for passage in self.passages]))

    @cached_property
    def ends(self) -> frozenset[int]:
        """After how many plain words a clause ends."""
        return frozenset(accumulate(len(clause.plain) for clause in self.clauses))

    def restates_scopes_of(self, other: Wording) -> bool:
        """Whether the same is negated, conditional or said of another as often, in whatever order."""
        return self.scopes == other.scopes or sorted(self.scopes) == sorted(other.scopes)


def excess(one: Wording, other: Wording) -> tuple[Words, Words]:
    """The plain words that ``one`` has and ``other`` lacks, or has less often, and the reverse; both in their order."""
    own, foreign = Counter(one.plain), Counter(other.plain)
    return _in_order(one.plain, own - foreign), _in_order(other.plain, foreign - own)


def _in_order(words: Sequence[str], counts: Counter[str]) -> Words:
    found: list[str] = []
    for word in words if counts else ():
        if counts[word] > 0:
            counts[word] -= 1
            found.append(word)
    return tuple(found)


def legible(text: str) -> str:
    """``text`` as it is compared: typography, case, accents and compatibility characters folded, controls removed."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_READ_AS))
        text = unicodedata.normalize("NFD", text)
        dropped = [character for character in set(text) if _is_mark_or_control(character)]
        text = text.translate(dict.fromkeys(map(ord, dropped)))
    return text.casefold()


def strange_characters(text: str, familiar: frozenset[str]) -> list[str]:
    """Characters of ``text`` that a reader may not see or take for others, unless they are ``familiar``."""
    if text.isascii() and text.isprintable():
        return []
    return sorted(character for character in set(text) - familiar if _is_strange(character))


def named(characters: Sequence[str]) -> str:
    """The names of ``characters``, for a person to read."""
    return ", ".join(
        f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip() for character in characters[:4]
    )


@lru_cache(maxsize=16)
def read(text: str) -> Wording:
    """The wording of ``text``. A note that was just read, to find its case, isn't read again to compare it."""
    return Wording.of(text)


def spaced(words: Words) -> str:
    """``words`` as one text in which each is set off on both sides."""
    return f" {'  '.join(words)} " if words else ""


def times_within(spaced_text: str, phrase: Words) -> int:
    """How often ``phrase`` stands, word by word, in the text that :func:`spaced` made; 0 for an empty phrase."""
    return spaced_text.count(spaced(phrase)) if phrase else 0


def _read_passage(text: str, is_beginning: bool) -> Passage:
    """Read ``text``; ``is_beginning`` says whether no clause stands before it."""
    text = legible(text)
    words: list[str] = []
    clauses: list[Clause] = []
    breaks: list[int] = []
    start = 0
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match.group()
        if kind == "word":
            words.append(token.replace("'", ""))
        elif kind == "number":
            words.append(_plain_number(token))
        elif kind == "rate":
            words.append("per")
        elif kind in ("sign", "prefix"):
            words.append(token)
        elif kind == "break" or (kind == "hyphen" and not text[match.start() - 1 : match.start()].strip()):
            breaks.append(len(plain_words(words[start:])))
        elif kind in ("end", "pause") and len(words) > start:
            if is_beginning and not clauses and kind == "pause" and LEAD_IN_WORDS.issuperset(words):
                words.clear()
                breaks.clear()
                continue
            clauses.append(Clause(plain_words(words[start:]), kind == "end", tuple(breaks)))
            breaks.clear()
            start = len(words)
    if len(words) > start:
        clauses.append(Clause(plain_words(words[start:]), True, tuple(breaks)))
    return Passage(
        words=tuple(words),
        plain=tuple(chain.from_iterable(clause.plain for clause in clauses)),
        clauses=tuple(clauses),
        scopes=_punctuated(text) or tuple(chain.from_iterable(_scopes(clause.plain) for clause in clauses)),
        marks=tuple(_TELLING_MARKS.findall(text)),
    )


def _scopes(clause: Words) -> list[Words]:
    return [clause[index:] for index, word in enumerate(clause) if word in _OPENING_A_SCOPE]


def _punctuated(text: str) -> tuple[Words, ...]:
    """The words and marks of a passage in a script whose negations are unknown; nothing of any other."""
    is_foreign = not text.isascii() and any(character.isalpha() and _is_foreign(character) for character in text)
    return (tuple(_WORD_OR_MARK.findall(text)),) if is_foreign else ()


def _is_foreign(character: str) -> bool:
    """Whether a letter is neither Latin nor Greek, which are at home in medicine written in Latin letters."""
    return ord(character) >= _FIRST_CYRILLIC and not unicodedata.name(character, "").startswith(_AT_HOME)


_kept_passage = lru_cache(maxsize=_PASSAGES_KEPT)(_read_passage)


def _plain_number(token: str) -> str:
    if "," in token and _THOUSANDS.fullmatch(token):
        return token.replace(",", "")
    if "." in token and _DECIMAL.fullmatch(token):
        whole, fraction = token.split(".")
        fraction = fraction.rstrip("0")
        return f"{whole or '0'}.{fraction}" if fraction else whole or "0"
    return token


def _is_strange(character: str) -> bool:
    if character.isascii():
        return not character.isprintable() and not character.isspace()
    return character not in _HARMLESS and not character.isspace()


def _is_mark_or_control(character: str) -> bool:
    is_vowel = ord(character) in SPELT_WITH_MARKS and unicodedata.category(character) == "Mn"
    return not is_vowel and unicodedata.category(character) in ("Mn", "Cf", "Cc") and not character.isspace()
