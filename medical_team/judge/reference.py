"""The embedded judge: no model, exact on the data set's own notes, honest about what it can't decide. It finds the
case that a note was made from where a caller sends only its text; a second judge may be asked for what it can't
tell."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache

from ..records import JudgeFailure, NotePair, Ruling, Source
from ..text_repair import repair_mojibake
from .protocol import Finding, Judge, JudgeQuery, rule_by_findings
from .rewrite import MAX_CHARACTERS, Case, find
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


ClosedWorld = Callable[[str], Finding]
"""Decides a note of a closed world by what made it, such as a table of facts; it abstains on any other text."""

_CASES_KEPT = 4096
_FINDINGS_KEPT = 4096
_LONGEST_KEPT_NOTE = 4000


class ReferenceJudge:
    """Rules by comparing a note with the case it was made from, and abstains where a comparison can't tell.

    A note of a closed world needs no comparison: the world's own judge decides.

    Args:
        pairs: where to look for the case of a query that names none. Not needed where each query names its pair.
        worlds: the closed worlds, by the source of their cases.
    """

    name = "reference"

    def __init__(self, pairs: Iterable[NotePair] = (), worlds: Mapping[Source, ClosedWorld] | None = None) -> None:
        self._worlds = dict(worlds or {})
        # Notes of a closed world are decided without their pair, and there may be many.
        self._pairs = [pair for pair in pairs if pair.source not in self._worlds]
        self._case_of = lru_cache(maxsize=_CASES_KEPT)(Case.of)
        self._kept_find = lru_cache(maxsize=_FINDINGS_KEPT)(self._find_surely)

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id."""
        return rule_by_findings(queries, [self._find_safely(query) for query in queries], judge=self.name)

    def find(self, note: str, pair: NotePair | None = None) -> Finding:
        """Whether ``note`` contains an error; ``pair`` is its case, where that is known."""
        # The notes of vanilla games come again and again. Long notes would fill the memory.
        return self._kept_find(note, pair) if len(note) <= _LONGEST_KEPT_NOTE else self._find_surely(note, pair)

    def _find_surely(self, note: str, pair: NotePair | None) -> Finding:
        finding = self._find(note, pair)
        return finding if finding.error_present is None else replace(finding, confidence=1.0)

    def _find(self, note: str, pair: NotePair | None) -> Finding:
        if pair is not None:
            return self._find_in(note, pair)
        if len(note) > MAX_CHARACTERS:
            return Finding(None, f"the note is longer than {MAX_CHARACTERS} characters", is_failure=True)
        candidates = self._index.candidates(note)
        if not candidates:
            return self._find_without_pair(note)
        findings = [self._find_in(note, candidate) for candidate in candidates]
        if len({finding.error_present for finding in findings}) > 1:
            cases = ", ".join(candidate.case_id for candidate in candidates)
            return Finding(None, f"can't tell: several cases hold this note and disagree about it: {cases}")
        return findings[0]

    def _find_safely(self, query: JudgeQuery) -> Finding:
        try:
            return self.find(query.note, query.pair)
        except Exception as error:  # noqa: BLE001 - whatever a player wrote, one game's trouble must stay that game's
            return Finding(None, f"the reference judge failed: {type(error).__name__}: {error}", is_failure=True)

    def _find_in(self, note: str, pair: NotePair) -> Finding:
        if pair.source in self._worlds:
            return self._worlds[pair.source](note)
        finding = find(note, self._case_of(pair))
        # the error is kept to the letter, so it has the case's type
        return replace(finding, error_type=pair.error_type) if finding.error_present else finding

    def _find_without_pair(self, note: str) -> Finding:
        for decide in self._worlds.values():
            finding = decide(note)
            if finding.error_present is not None:
                return finding
        return Finding(None, f"can't tell: the note is clearly nearest to none of the {len(self._pairs)} known cases")

    @cached_property
    def _index(self) -> PairIndex:
        return PairIndex(self._pairs)


class HybridJudge:
    """Asks ``first``, and asks ``second`` about the games on which ``first`` abstains.

    A label says which of the two decided. Where ``first`` fails outright its failure stands: a second opinion would
    hide that something is broken.
    """

    def __init__(self, first: Judge, second: Judge) -> None:
        self._first = first
        self._second = second
        self.name = f"hybrid:{first.name}+{second.name}"

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id."""
        rulings = dict(self._first.rule(queries))
        left = [query for query in queries if _is_abstention(rulings.get(query.game_id))]
        if left:
            rulings.update(self._second.rule(left))
        return rulings


def _is_abstention(ruling: Ruling | None) -> bool:
    return isinstance(ruling, JudgeFailure) and ruling.is_abstention
