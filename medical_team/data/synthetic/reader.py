"""Reading a note of the synthetic language back: what any text says, whatever it says besides.

Case, white space, punctuation, the order of the sentences and the choice of wording don't matter. Whatever is not a
sentence of the language stays unread and is reported, so that nobody judges a note of which a part was not understood.
Nothing here raises on any text, and the time is linear in its length, which is bounded.

The words of a text are matched against one tree that holds all wordings. Where a sentence can start, all its matches
are followed; so a text has as many readings as there are ways to cut it into sentences, and more than one is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from ...records import ErrorType
from .language import (
    BACKGROUNDS,
    FAMILY_ILLNESSES,
    HOUSEHOLDS,
    SEX_OF_PERSON,
    SEX_OF_SUBJECT,
    SLOTS,
    WORDINGS,
    Sentence,
    SentenceKind,
    finding_of,
)
from .table import FINDING_KINDS, FindingKind, Sex, medical_table

MAX_NOTE_CHARACTERS = 8_000
"""A longer text is not read: the language's notes have some 600 characters, and a revision at most twice as many."""

_TOKEN = re.compile(
    r"""
    (?P<sign>(?<![A-Za-z0-9])[-.](?=\d))  # changes the number that follows, so it isn't punctuation
    | (?P<word>\d+(?:\.\d+)? | [A-Za-z]+\d*)
    | (?P<ignored>\s+ | [.,;:!()"'/*_-])
    | (?P<foreign>(?s:.))
    """,
    re.VERBOSE,
)
_WHOLE_NUMBER = re.compile(r"[1-9]\d{0,2}")
_AMOUNT = re.compile(r"(?:0|[1-9]\d{0,5})(?:\.\d{1,4})?")

_PARTS = re.compile(r"\{\w+\}|[^{}]+")

_BOUNDS = {"temperature": (34.0, 42.5), "pulse": (30, 220), "systolic": (60, 250), "diastolic": (30, 150)}


@dataclass(frozen=True)
class SyntheticReading:
    """What a text says in the language of the synthetic notes."""

    sentences: tuple[Sentence, ...]
    """In the order of the text, each with the wording that it has there."""
    sexes: frozenset[Sex]
    """What nouns and pronouns say of the patient's sex: two where they contradict each other."""
    unread: tuple[str, ...]
    """The words that belong to no sentence of the language."""
    is_ambiguous: bool
    """Whether the text can be cut into sentences in more than one way."""
    is_too_long: bool
    """Whether the text is longer than ``MAX_NOTE_CHARACTERS``, and was not read."""

    @property
    def sex(self) -> Sex | None:
        """The patient's sex, where the text tells it and doesn't contradict itself."""
        return next(iter(self.sexes)) if len(self.sexes) == 1 else None

    @property
    def findings(self) -> tuple[tuple[FindingKind, str], ...]:
        """The findings, which tell the condition."""
        return tuple(finding for sentence in self.sentences if (finding := finding_of(sentence)))

    def of_kind(self, kind: SentenceKind) -> tuple[Sentence, ...]:
        """The sentences of one kind."""
        return tuple(sentence for sentence in self.sentences if sentence.kind is kind)


@dataclass
class _Node:
    """A place in the tree of wordings, or of the phrases that can fill a slot: the words and the slots that can come
    next, and the wordings or the phrase that end here."""

    words: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    slots: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    ends: list[tuple[SentenceKind, int]] = field(default_factory=list[tuple[SentenceKind, int]])
    phrase: str | None = None


@dataclass(frozen=True)
class _Match:
    """A sentence of the language that stands in the text, and the word after its last one."""

    end: int
    sentence: Sentence
    subject: str | None


_SlotReader = Callable[[list[str], int], Iterable[tuple[int, str]]]


def read_note(text: str) -> SyntheticReading:
    """What ``text`` says in the language of the synthetic notes."""
    if len(text) > MAX_NOTE_CHARACTERS:
        return SyntheticReading((), frozenset(), (), is_ambiguous=False, is_too_long=True)
    words = words_of(text)
    matches, unread, ways = _segment(words)
    return SyntheticReading(
        sentences=tuple(match.sentence for match in matches),
        sexes=frozenset(_sexes(matches)),
        unread=unread,
        is_ambiguous=ways > 1,
        is_too_long=False,
    )


def words_of(text: str) -> list[str]:
    """The words of ``text`` in lower case, without punctuation; every character that is foreign counts as a word."""
    words = (match.group().lower() for match in _TOKEN.finditer(text) if match.lastgroup != "ignored")
    return ["a" if word == "an" else word for word in words]


def slot_phrases() -> Mapping[str, tuple[str, ...]]:
    """The phrases that can fill each slot that doesn't hold a number, as they are written."""
    table = medical_table()
    regimens = [drug.regimen for drug in table.drugs.values()]
    regimens += [regimen for condition in table.conditions.values() for regimen in condition.regimens.values()]
    phrases: dict[str, Iterable[str]] = {
        "subject": SEX_OF_SUBJECT,
        "person": SEX_OF_PERSON,
        "period": {condition.onset[0] for condition in table.conditions.values()},
        "background": (*BACKGROUNDS, *(caution.text for caution in table.cautions.values())),
        "family": FAMILY_ILLNESSES,
        "household": HOUSEHOLDS,
        "unit": {regimen.unit for regimen in regimens},
        "route": {regimen.route for regimen in regimens},
        "schedule": {regimen.schedule for regimen in regimens},
        "diagnosis": table.answers[ErrorType.DIAGNOSIS],
        "organism": table.answers[ErrorType.CAUSAL_ORGANISM],
        "drug": table.answers[ErrorType.PHARMACOTHERAPY],
        "management": table.answers[ErrorType.MANAGEMENT],
        "treatment": table.answers[ErrorType.TREATMENT],
    }
    for kind in FINDING_KINDS:
        phrases[kind] = [finding for owned_kind, finding in table.owners if owned_kind == kind]
    return {slot: tuple(sorted(values)) for slot, values in phrases.items()}


def _segment(words: list[str]) -> tuple[list[_Match], tuple[str, ...], int]:
    """The sentences, the unread words, and in how many ways there are sentences to all words: 0, 1, or 2 for more."""
    ways = [1] + [0] * len(words)
    arrivals: dict[int, tuple[int, _Match | None]] = {}
    for start in range(len(words)):
        if ways[start]:
            for match in _matches(words, start):
                ways[match.end] = min(2, ways[match.end] + ways[start])
                arrivals[match.end] = (start, match)
    if not ways[-1]:
        arrivals = _arrivals_skipping_words(words)
    matches, unread = _path(words, arrivals)
    return matches, unread, ways[-1]


def _arrivals_skipping_words(words: list[str]) -> dict[int, tuple[int, _Match | None]]:
    """How each place is reached with the fewest words skipped."""
    skipped = list(range(len(words) + 1))
    arrivals: dict[int, tuple[int, _Match | None]] = {}
    for start in range(len(words)):
        if start + 1 not in arrivals or skipped[start] + 1 < skipped[start + 1]:
            skipped[start + 1] = skipped[start] + 1
            arrivals[start + 1] = (start, None)
        for match in _matches(words, start):
            if match.end not in arrivals or skipped[start] < skipped[match.end]:
                skipped[match.end] = skipped[start]
                arrivals[match.end] = (start, match)
    return arrivals


def _path(words: list[str], arrivals: Mapping[int, tuple[int, _Match | None]]) -> tuple[list[_Match], tuple[str, ...]]:
    matches: list[_Match] = []
    unread: list[str] = []
    place = len(words)
    while place:
        place, match = arrivals[place]
        if match is None:
            unread.append(words[place])
        else:
            matches.append(match)
    return matches[::-1], tuple(unread[::-1])


def _matches(words: list[str], start: int) -> Iterator[_Match]:
    """All sentences that start at ``start``."""
    root, readers = _grammar()
    open_ends: list[tuple[_Node, int, tuple[tuple[str, str], ...]]] = [(root, start, ())]
    while open_ends:
        node, place, said = open_ends.pop()
        for kind, wording in node.ends:
            values = dict(said)
            sentence = Sentence(kind, tuple([values[slot] for slot in SLOTS[kind]]), wording)
            yield _Match(place, sentence, values.get("subject"))
        if place == len(words):
            continue
        if (next_node := node.words.get(words[place])) is not None:
            open_ends.append((next_node, place + 1, said))
        for slot, slot_node in node.slots.items():
            for end, value in readers[slot](words, place):
                open_ends.append((slot_node, end, (*said, (slot, value))))


def _sexes(matches: Iterable[_Match]) -> Iterator[Sex]:
    for match in matches:
        if match.subject is not None:
            yield SEX_OF_SUBJECT[match.subject]
        if match.sentence.kind is SentenceKind.PATIENT:
            yield SEX_OF_PERSON[match.sentence.value("person")]


@cache
def _grammar() -> tuple[_Node, Mapping[str, _SlotReader]]:
    """The tree of all wordings, and what reads each slot."""
    readers: dict[str, _SlotReader] = {slot: _phrase_reader(phrases) for slot, phrases in slot_phrases().items()}
    readers |= {slot: _number_reader(_WHOLE_NUMBER, 1, 999) for slot in ("age", "count")}
    readers["dose"] = _number_reader(_AMOUNT, 0, 999_999)
    readers |= {slot: _number_reader(_AMOUNT, *bounds) for slot, bounds in _BOUNDS.items()}
    root = _Node()
    for kind, wordings in WORDINGS.items():
        for number, wording in enumerate(wordings):
            _add_wording(root, wording, (kind, number))
    return root, readers


def _add_wording(root: _Node, wording: str, end: tuple[SentenceKind, int]) -> None:
    node = root
    for part in _PARTS.findall(wording):
        if part.startswith("{"):
            node = node.slots.setdefault(part[1:-1], _Node())
        else:
            for word in words_of(part):
                node = node.words.setdefault(word, _Node())
    node.ends.append(end)


def _phrase_reader(phrases: Iterable[str]) -> _SlotReader:
    root = _Node()
    for phrase in phrases:
        node = root
        for word in words_of(phrase):
            node = node.words.setdefault(word, _Node())
        node.phrase = phrase

    def read(words: list[str], start: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        node = root.words.get(words[start])
        place = start + 1
        while node is not None:
            if node.phrase is not None:
                found.append((place, node.phrase))
            node = node.words.get(words[place]) if place < len(words) else None
            place += 1
        return found

    return read


def _number_reader(pattern: re.Pattern[str], lowest: float, highest: float) -> _SlotReader:
    def read(words: list[str], start: int) -> list[tuple[int, str]]:
        word = words[start]
        return [(start + 1, word)] if pattern.fullmatch(word) and lowest <= float(word) <= highest else []

    return read
