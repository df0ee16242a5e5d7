"""The embedded judge: no model, exact on the data set's own notes, honest about what it can't decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from ..records import JudgeFailure, Labels, NotePair, Ruling, Source, Verdict
from .finding import Finding
from .pair_index import PairIndex
from .protocol import JudgeQuery
from .rewrite import MAX_CHARACTERS, Case, find
from .synthetic import decide_synthetic

_CASES_KEPT = 4096


class ReferenceJudge:
    """Rules by comparing a note with the case it was made from, and abstains where a comparison can't tell.

    A synthetic note needs no comparison: the table that made it decides.

    Args:
        pairs: where to look for the case of a query that names none. Not needed where each query names its pair.
    """

    name = "reference"

    def __init__(self, pairs: Iterable[NotePair] = ()) -> None:
        # synthetic notes are decided without their pair, and there may be many
        self._pairs = [pair for pair in pairs if pair.source is not Source.SYNTHETIC]
        self._index: PairIndex | None = None
        self._case_of = lru_cache(maxsize=_CASES_KEPT)(Case.of)

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id. Two queries of one id fail both: nobody could tell them apart."""
        uses = Counter(query.game_id for query in queries)
        return {
            query.game_id: self._rule_one(query) if uses[query.game_id] == 1 else self._failure(query, uses)
            for query in queries
        }

    def find(self, note: str, pair: NotePair | None = None) -> Finding:
        """Whether ``note`` contains an error; ``pair`` is its case, where that is known."""
        if pair is not None:
            return self._find_in(note, pair)
        if len(note) > MAX_CHARACTERS:
            return Finding(None, f"can't tell: the note is longer than {MAX_CHARACTERS} characters")
        candidates = self._lookup().candidates(note)
        if not candidates:
            return self._find_without_pair(note)
        findings = [self._find_in(note, candidate) for candidate in candidates]
        if len({finding.error_present for finding in findings}) > 1:
            cases = ", ".join(candidate.case_id for candidate in candidates)
            return Finding(None, f"can't tell: several cases hold this note and disagree about it: {cases}")
        return findings[0]

    def _rule_one(self, query: JudgeQuery) -> Ruling:
        try:
            finding = self.find(query.note, query.pair)
        except Exception as error:  # noqa: BLE001 - whatever a player wrote, one game's trouble must stay that game's
            reason = f"the reference judge failed: {type(error).__name__}: {error}"
            return JudgeFailure(query.game_id, is_abstention=False, source=self.name, reason=reason)
        if finding.error_present is None:
            return JudgeFailure(query.game_id, is_abstention=True, source=self.name, reason=finding.reason)
        return Labels(
            game_id=query.game_id,
            error_present=finding.error_present,
            error_detected=query.verdict is Verdict.HARMFUL,
            source=self.name,
            reason=finding.reason,
        )

    def _failure(self, query: JudgeQuery, uses: Mapping[str, int]) -> JudgeFailure:
        reason = f"{uses[query.game_id]} queries have the id {query.game_id!r}: a ruling can't say which it means"
        return JudgeFailure(query.game_id, is_abstention=False, source=self.name, reason=reason)

    def _find_in(self, note: str, pair: NotePair) -> Finding:
        if pair.source is Source.SYNTHETIC:
            return decide_synthetic(note)
        return find(note, self._case_of(pair))

    def _find_without_pair(self, note: str) -> Finding:
        finding = decide_synthetic(note)
        if finding.error_present is not None:
            return finding
        return Finding(None, f"can't tell: the note is clearly nearest to none of the {len(self._pairs)} known cases")

    def _lookup(self) -> PairIndex:
        if self._index is None:
            self._index = PairIndex(self._pairs)
        return self._index
