"""The reference judge first, a second judge only for what it can't tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..records import JudgeFailure, Ruling
from .protocol import Judge, JudgeQuery


class HybridJudge:
    """Asks ``first``, and asks ``second`` about the games on which ``first`` abstains.

    A label says which of the two decided. Where ``first`` fails outright, as on two games of one id, its failure
    stands: a second opinion would hide that something is broken.
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
