"""The embedded judge: no model, exact on the data set's own notes, honest about what it can't decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from ..records import NotePair, Ruling, Source
from .finding import Finding
from .labelling import rule_by_findings
from .pair_index import PairIndex
from .protocol import JudgeQuery
from .rewrite import MAX_CHARACTERS, Case, find

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
        self._index: PairIndex | None = None
        self._case_of = lru_cache(maxsize=_CASES_KEPT)(Case.of)
        self._kept_find = lru_cache(maxsize=_FINDINGS_KEPT)(self._find_surely)

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. Two queries of one id fail both: nobody could tell them apart."""
        return rule_by_findings(queries, self._find_all, judge=self.name)

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
        candidates = self._lookup().candidates(note)
        if not candidates:
            return self._find_without_pair(note)
        findings = [self._find_in(note, candidate) for candidate in candidates]
        if len({finding.error_present for finding in findings}) > 1:
            cases = ", ".join(candidate.case_id for candidate in candidates)
            return Finding(None, f"can't tell: several cases hold this note and disagree about it: {cases}")
        return findings[0]

    def _find_all(self, queries: Sequence[JudgeQuery]) -> list[Finding]:
        return [self._find_safely(query) for query in queries]

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

    def _lookup(self) -> PairIndex:
        if self._index is None:
            self._index = PairIndex(self._pairs)
        return self._index
