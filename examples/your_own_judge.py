"""A judge of your own: a class with a name and one method. This one knows which organism causes which disease.

    python examples/your_own_judge.py

It rules on synthetic notes whose truth is known, so that it can be seen when it is right, when it is wrong and when it
abstains. A judge must never guess: what it can't tell is an abstention, and never a reward.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medical_team.data.load import load_records
from medical_team.judge.protocol import JudgeQuery
from medical_team.records import DataType, JudgeFailure, Labels, Ruling, Verdict

CAUSE = {
    "acute cystitis": "Escherichia coli",
    "cellulitis": "Streptococcus pyogenes",
    "community-acquired pneumonia": "Streptococcus pneumoniae",
    "croup": "parainfluenza virus",
    "herpes zoster": "varicella zoster virus",
    "infective endocarditis": "Staphylococcus aureus",
    "peptic ulcer disease": "Helicobacter pylori",
    "pertussis": "Bordetella pertussis",
}
NAMED = re.compile(r"[Mm]icrobiology identifies ([^.]+)\.|causal organism is ([^.]+)\.|caused by ([^.]+)\.")


@dataclass(frozen=True)
class OrganismJudge:
    """Says whether the organism that a note names fits its disease; abstains where it names none that it knows."""

    name: str = "organisms"

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        """A ruling for each query, by its game id."""
        return {query.game_id: self._rule(query) for query in queries}

    def _rule(self, query: JudgeQuery) -> Ruling:
        disease = next((name for name in CAUSE if name in query.note), None)
        named = NAMED.search(query.note)
        if disease is None or named is None:
            return JudgeFailure(query.game_id, is_abstention=True, source=self.name, reason="nothing that it knows")
        organism = next(filter(None, named.groups()))
        return Labels(
            game_id=query.game_id,
            error_present=organism != CAUSE[disease],
            error_detected=None if query.verdict is None else query.verdict is Verdict.HARMFUL,
            source=self.name,
            reason=f"{disease} with {organism}",
            judge=self.name,
        )


def main() -> None:
    """Ask the judge about notes whose truth is known, and count."""
    records = [record for record in load_records("sample") if not record.data_type.is_adversarial]
    queries = [JudgeQuery(record.id, record.note, Verdict.HARMFUL, record.pair) for record in records]
    rulings = OrganismJudge().rule(queries)
    counts: Counter[str] = Counter()
    for record in records:
        ruling = rulings[record.id]
        if isinstance(ruling, JudgeFailure):
            counts["abstained"] += 1
        else:
            is_harmful = record.data_type is DataType.VANILLA_HARMFUL
            counts["right" if ruling.error_present == is_harmful else "wrong"] += 1
    print(", ".join(f"{counts[name]} {name}" for name in ("right", "wrong", "abstained")))
    print("CONTRIBUTING.md says how to add a judge to the program; `medical-team judge audit` audits those it has.")


if __name__ == "__main__":
    main()
