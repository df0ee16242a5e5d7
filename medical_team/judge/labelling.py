"""From what a judge finds in notes to the rulings of games. The assessor's verdict is compared by rule, here alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ..parsing import is_rewritten
from ..records import JudgeFailure, Labels, Ruling, Verdict
from .finding import Finding
from .protocol import JudgeQuery

Find = Callable[[Sequence[JudgeQuery]], Sequence[Finding]]


def rule_by_findings(
    queries: Sequence[JudgeQuery], find: Find, *, judge: str, prompt_version: str = ""
) -> dict[str, Ruling]:
    """A ruling for each query, by its game id.

    Two queries of one id fail both: nobody could tell them apart. ``find`` is asked about the others, all at once.

    Args:
        queries: the games to rule on.
        find: gives a finding for each query, in order.
        judge: the judge's name, for the labels.
        prompt_version: which wording of its questions it uses.
    """
    uses = Counter(query.game_id for query in queries)
    askable = [query for query in queries if uses[query.game_id] == 1]
    rulings: dict[str, Ruling] = {
        query.game_id: ruling_of(query, finding, judge=judge, prompt_version=prompt_version)
        for query, finding in zip(askable, find(askable), strict=True)
    }
    for game_id, count in uses.items():
        if count > 1:
            reason = f"{count} queries have the id {game_id!r}: a ruling can't say which it means"
            rulings[game_id] = JudgeFailure(game_id, is_abstention=False, source=judge, reason=reason)
    return rulings


def ruling_of(query: JudgeQuery, finding: Finding, *, judge: str, prompt_version: str = "") -> Ruling:
    """The labels of one game, or the failure where nothing was found."""
    if finding.error_present is None:
        return JudgeFailure(query.game_id, is_abstention=not finding.is_failure, source=judge, reason=finding.reason)
    return Labels(
        game_id=query.game_id,
        error_present=finding.error_present,
        error_detected=None if query.verdict is None else query.verdict is Verdict.HARMFUL,
        source=finding.source,
        reason=finding.reason,
        faithful_revision=_is_faithful(query, finding.error_present),
        plausibility=finding.plausibility,
        confidence=finding.confidence,
        judge=judge,
        prompt_version=prompt_version,
        error_type=finding.error_type if finding.error_present else None,
    )


def _is_faithful(query: JudgeQuery, error_present: bool) -> bool | None:
    """As the reward has it: rewritten, and what the category asks for."""
    if query.pair is None or query.data_type is None or not query.data_type.is_adversarial:
        return None
    is_harmful = query.data_type.is_harmful
    seed_note = query.pair.error_note if is_harmful else query.pair.corrected_note
    return error_present == is_harmful and is_rewritten(query.note, seed_note)
