"""A note as words: read past looks (case, white space, punctuation), and past wording that means the same.

Numbers keep their decimal points, ratios and signs, since 0.5 is not 5 and "< 4" is not "> 4". What can't be seen,
or only looks like a letter, is never read past: :func:`strange_characters` names it, and the judge abstains.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import chain

from ..sentences import END_MARKS, MARKS_WITHOUT_SPACE, PAUSES
from ..words import SPELT_WITH_MARKS, vowel_marks
from .exchangeable import Condition, Words, exchanges, spelled_exchanges, wording_words
from .lexicon import (
    ARTICLES,
    CONDITIONS,
    FORMS_OF_BE,
    LABELLED_BY_LETTER,
    LEAD_IN_WORDS,
    NEGATIONS,
    OPENING_WORDS,
    is_number_in_any_form,
)

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
    """,
    re.VERBOSE,
)
_SENTENCE_BREAK = re.compile(rf"(?<=[{END_MARKS}])\s+|(?<=[{MARKS_WITHOUT_SPACE}])")
_WORD_OR_MARK = re.compile(rf"[^\W_]+|[{END_MARKS}{PAUSES}]")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+")
_DECIMAL = re.compile(r"\d*\.\d+")
_TELLING_MARKS = re.compile(
    r"""
      [?؟\[\]{}|\\~@$] | \# | !(?=[\w=]) | <(?=[a-z/!]) | (?<=\d)["']
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
_GOVERNING = NEGATIONS | CONDITIONS
_FIRST_CYRILLIC = 0x400
_AT_HOME = ("LATIN", "GREEK")

_PASSAGES_KEPT = 8192
_LONGEST_KEPT_PASSAGE = 400


@dataclass(frozen=True)
class Clause:
    """Words up to a full stop, semicolon or colon, in their plain form."""

    plain: Words
    is_sentence_end: bool


@dataclass(frozen=True)
class Passage:
    """A stretch of a note that can be read by itself."""

    words: Words
    plain: Words
    clauses: tuple[Clause, ...]
    negated: tuple[Words, ...]
    """What stands after each negation or condition, up to the end of its clause; in other scripts than Latin, whose
    negations nobody lists here, the whole passage with its punctuation."""
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
    def negated(self) -> list[Words]:
        """What is negated, in order."""
        return list(chain.from_iterable([passage.negated for passage in self.passages]))

    def restates_negations_of(self, other: Wording) -> bool:
        """Whether the same is negated as often, in whatever order."""
        return self.negated == other.negated or sorted(self.negated) == sorted(other.negated)


def excess(one: Wording, other: Wording) -> tuple[Words, Words]:
    """The plain words that ``one`` has and ``other`` lacks, or has less often, and the reverse; both in their order."""
    ours, theirs = [passage.plain for passage in one.passages], [passage.plain for passage in other.passages]
    shared = set(ours).intersection(theirs)
    if len(set(ours)) < len(ours) or len(set(theirs)) < len(theirs):
        # one that is repeated would have to be counted
        shared.clear()
    own = [word for words in ours if words not in shared for word in words]
    foreign = [word for words in theirs if words not in shared for word in words]
    own_counts, foreign_counts = Counter(own), Counter(foreign)
    return _in_order(own, own_counts - foreign_counts), _in_order(foreign, foreign_counts - own_counts)


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
        elif kind in ("end", "pause") and len(words) > start:
            if is_beginning and not clauses and kind == "pause" and LEAD_IN_WORDS.issuperset(words):
                words.clear()
                continue
            clauses.append(Clause(plain_words(words[start:]), kind == "end"))
            start = len(words)
    if len(words) > start:
        clauses.append(Clause(plain_words(words[start:]), True))
    return Passage(
        words=tuple(words),
        plain=tuple(chain.from_iterable(clause.plain for clause in clauses)),
        clauses=tuple(clauses),
        negated=_punctuated(text) or tuple(chain.from_iterable(_negated(clause.plain) for clause in clauses)),
        marks=tuple(_TELLING_MARKS.findall(text)),
    )


def _negated(clause: Words) -> list[Words]:
    return [clause[index:] for index, word in enumerate(clause) if word in _GOVERNING]


def _punctuated(text: str) -> tuple[Words, ...]:
    """The words and marks of a passage in a script whose negations are unknown; nothing of any other."""
    is_foreign = not text.isascii() and any(character.isalpha() and _is_foreign(character) for character in text)
    return (tuple(_WORD_OR_MARK.findall(text)),) if is_foreign else ()


def _is_foreign(character: str) -> bool:
    """Whether a letter is neither Latin nor Greek, which are at home in medicine written in Latin letters."""
    return ord(character) >= _FIRST_CYRILLIC and not unicodedata.name(character, "").startswith(_AT_HOME)


_kept_passage = lru_cache(maxsize=_PASSAGES_KEPT)(_read_passage)


def plain_words(words: Sequence[str]) -> Words:
    """``words`` of one clause with articles and opening words left out, and one phrase for each meaning."""
    table = _phrases()
    plain: list[str] = []
    position, length = 0, len(words)
    while position < length and words[position] in OPENING_WORDS:
        position += 1
    governed_from = next((place for place, word in enumerate(words) if word in _GOVERNING), length)
    while position < length:
        word = words[position]
        for phrase in table.get(word, ()):
            if phrase.stands_at(words, position, position > governed_from):
                plain.extend(phrase.meaning)
                position += len(phrase.words)
                break
        else:
            position += 1
            if word in ARTICLES and not _is_label(words, position - 1):
                continue
            is_before_number = word in FORMS_OF_BE and position < length and is_number_in_any_form(words[position])
            plain.append("is" if is_before_number else word)
    return tuple(plain)


def _is_label(words: Sequence[str], position: int) -> bool:
    is_last = position + 1 == len(words)
    return words[position] == "a" and (is_last or (position > 0 and words[position - 1] in LABELLED_BY_LETTER))


@dataclass(frozen=True)
class _Phrase:
    """Words that may be read as other words, under a condition on what stands beside them."""

    words: Words
    meaning: Words
    condition: Condition

    def stands_at(self, words: Sequence[str], position: int, is_negated: bool) -> bool:
        end = position + len(self.words)
        if len(self.words) > 1 and tuple(words[position:end]) != self.words:
            return False
        before = words[position - 1] if position else ""
        return self.condition.holds(before, words[end] if end < len(words) else "", is_negated)


@cache
def _phrases() -> dict[str, tuple[_Phrase, ...]]:
    phrases = [
        _Phrase(wording_words(wording), exchange.meaning, exchange.condition)
        for exchange in (*exchanges(), *spelled_exchanges())
        for number, wording in enumerate(exchange.wordings)
        # the first stands for itself, but must be found before a shorter one within it
        if number or " " in wording
    ]
    by_first: dict[str, list[_Phrase]] = {}
    for phrase in sorted(phrases, key=lambda phrase: -len(phrase.words)):
        by_first.setdefault(phrase.words[0], []).append(phrase)
    return {word: tuple(phrases) for word, phrases in by_first.items()}


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
