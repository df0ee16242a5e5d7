"""Finding the case that a note was made from, where a caller sends only its text."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from ..mojibake import repair_mojibake
from ..records import NotePair
from .wording import Words, read

SIMILARITY_FLOOR = 0.5
"""A pair that shares less with the note is not its case. Rarity-weighted words in common over words in either."""

SIMILARITY_MARGIN = 0.1
"""The best pair must be this much nearer than the second best: among near-duplicates nobody can tell which it was."""

_COMMON_SHARE = 0.2
_ALWAYS_LOOKED_UP = 20
_CANDIDATES = 8


class PairIndex:
    """The pairs by the words of their notes. Built once; 2,000 pairs take a second or two."""

    def __init__(self, pairs: Iterable[NotePair]) -> None:
        self._pairs = list(dict.fromkeys(pairs))
        self._exact: dict[Words, list[int]] = defaultdict(list)
        self._vocabularies: list[frozenset[str]] = []
        self._holders: dict[str, list[int]] = defaultdict(list)
        for number, pair in enumerate(self._pairs):
            notes = [_plain(pair.error_note), _plain(pair.corrected_note)]
            for note in dict.fromkeys(notes):
                self._exact[note].append(number)
            vocabulary = frozenset(notes[0]) | frozenset(notes[1])
            self._vocabularies.append(vocabulary)
            for word in vocabulary:
                self._holders[word].append(number)
        self._weights = {word: self._weight(len(holders)) for word, holders in self._holders.items()}
        self._vocabulary_weights = [self._total(vocabulary) for vocabulary in self._vocabularies]

    def __len__(self) -> int:
        return len(self._pairs)

    def candidates(self, note: str) -> list[NotePair]:
        """The pairs that ``note`` may come from: those with the very same words, or else the clearly nearest one.

        Empty when there is none, or when two are about as near.
        """
        plain = _plain(note)
        if plain in self._exact:
            return [self._pairs[number] for number in self._exact[plain]]
        nearest = self._nearest(frozenset(plain))
        return [] if nearest is None else [self._pairs[nearest]]

    def _nearest(self, words: frozenset[str]) -> int | None:
        shared: defaultdict[int, float] = defaultdict(float)
        most_holders = max(_ALWAYS_LOOKED_UP, _COMMON_SHARE * len(self._pairs))
        # sorted: the rounding of a sum must not depend on the order of a set
        for word in sorted(words):
            holders = self._holders.get(word, ())
            if len(holders) <= most_holders:
                weight = self._weights[word] if holders else 0.0
                for number in holders:
                    shared[number] += weight
        total = self._total(words)
        likeliest = sorted(shared, key=lambda number: (-shared[number], number))[:_CANDIDATES]
        scores = sorted(((self._similarity(words, total, number), number) for number in likeliest), reverse=True)
        if not scores or scores[0][0] < SIMILARITY_FLOOR:
            return None
        if len(scores) > 1 and scores[0][0] - scores[1][0] < SIMILARITY_MARGIN:
            return None
        return scores[0][1]

    def _similarity(self, words: frozenset[str], total: float, number: int) -> float:
        common = self._total(words & self._vocabularies[number])
        return common / (total + self._vocabulary_weights[number] - common or 1.0)

    def _total(self, words: Iterable[str]) -> float:
        unseen = self._weight(0)
        return math.fsum(self._weights.get(word, unseen) for word in words)

    def _weight(self, holders: int) -> float:
        return math.log1p(len(self._pairs) / (holders + 1))


def _plain(note: str) -> Words:
    return read(repair_mojibake(note)).plain
