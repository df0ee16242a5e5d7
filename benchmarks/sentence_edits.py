"""What a judge says of edits of single sentences of MEDEC, each of which somebody has read.

    python benchmarks/sentence_edits.py MEDEC.csv [--show CATEGORY] [--model NAME] [--every N]

Without --model the reference judge is asked; with it the hybrid judge, which asks that model where the reference judge
abstains.

The edits are in sentence_edits.jsonl beside this file, as recipes: a case of MEDEC-MS's validation file, which of its
two notes, the number of the sentence and the words that are exchanged in it. "error" says whether the edited note
contains an error, by a person's reading; null where the edit makes that unknowable. A ruling against it, or any ruling
where it is null, is false: there must be none. Instead of two wordings an edit may be "other" (the sentence of the
case's other note), "next" (the sentence and the next one change places) or "nothing" (the sentence is left out).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from medical_team.cli.arguments import load_scorer  # noqa: E402
from medical_team.config import JudgeConfig  # noqa: E402
from medical_team.data.medec import read_medec  # noqa: E402
from medical_team.data.pairs import make_pair  # noqa: E402
from medical_team.data.reading_log import ReadingLog  # noqa: E402
from medical_team.judge.protocol import Judge, JudgeQuery  # noqa: E402
from medical_team.judging import make_judge  # noqa: E402
from medical_team.records import Labels, NotePair  # noqa: E402
from medical_team.sentences import NumberedNote  # noqa: E402

RECIPES = Path(__file__).with_suffix(".jsonl")


@dataclass(frozen=True)
class SentenceEdit:
    """An edit of one sentence of one of a case's two notes."""

    category: str
    case: str
    note: str
    sentence: int
    edit: tuple[str, str] | str
    error: bool | None

    def changed(self, pair: NotePair) -> tuple[str, str, str]:
        """The edited note, and its sentence before and after.

        Raises:
            ValueError: the sentence doesn't have the words that are exchanged.
        """
        is_error = self.note == "error"
        seed = NumberedNote(pair.error_note if is_error else pair.corrected_note)
        before = seed.sentences[self.sentence]
        edits = {self.sentence: before}
        if self.edit == "other":
            edits[self.sentence] = pair.corrected_sentence if is_error else pair.error_sentence
        elif self.edit == "next":
            edits = {self.sentence: seed.sentences[self.sentence + 1], self.sentence + 1: before}
        elif self.edit == "nothing":
            edits[self.sentence] = ""
        else:
            old, new = self.edit
            if old not in before:
                raise ValueError(f"{self.case}: sentence {self.sentence} of the {self.note} note lacks {old!r}")
            edits[self.sentence] = before.replace(old, new, 1)
        return seed.edited(edits).text, before, edits[self.sentence]


@dataclass(frozen=True)
class Judged:
    """An edit and what the judge said of it."""

    edit: SentenceEdit
    before: str
    after: str
    found: bool | None
    source: str
    """How it was found, or which judge couldn't tell."""
    reason: str

    @property
    def outcome(self) -> str:
        """ "right", "false" or "abstained"."""
        if self.found is None:
            return "abstained"
        return "right" if self.found is self.edit.error else "false"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, help="MEDEC-MS's validation file")
    parser.add_argument("--model", help="a language model to ask where the reference judge abstains")
    parser.add_argument("--every", type=int, default=1, help="take each Nth edit alone, for a slow model")
    parser.add_argument("--show", help="print the sentences of this category, before and after ('all': of all)")
    chosen = parser.parse_args()
    config = JudgeConfig(kind="hybrid", model=chosen.model) if chosen.model else JudgeConfig()
    judge = make_judge(config, load_scorer=load_scorer)
    judged = judge_edits(read_edits()[:: chosen.every], pairs_of(chosen.csv), judge)
    for item in judged:
        if chosen.show in (item.edit.category, "all"):
            print(f"{item.outcome:9} truth {item.edit.error} | {item.before} => {item.after} | {item.reason}")
    print_table(judged)


def read_edits(path: Path = RECIPES) -> list[SentenceEdit]:
    """The recipes of a file."""
    edits: list[SentenceEdit] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = json.loads(line)
        edit = fields.pop("edit")
        edits.append(SentenceEdit(**fields, edit=edit if isinstance(edit, str) else (edit[0], edit[1])))
    return edits


def pairs_of(csv: Path) -> dict[str, NotePair]:
    """The error cases of a MEDEC file, by id."""
    notes = [note for note in read_medec(csv, ReadingLog()) if note.has_error]
    return {note.text_id: make_pair(note, note.text_id, Counter()) for note in notes}


def judge_edits(edits: Sequence[SentenceEdit], pairs: Mapping[str, NotePair], judge: Judge) -> list[Judged]:
    """What the judge says of each edit."""
    changed = [edit.changed(pairs[edit.case]) for edit in edits]
    queries = [
        JudgeQuery(str(number), note, None, pairs[edit.case])
        for number, (edit, (note, _, _)) in enumerate(zip(edits, changed, strict=True))
    ]
    rulings = judge.rule(queries)
    judged: list[Judged] = []
    for query, edit, (_, before, after) in zip(queries, edits, changed, strict=True):
        ruling = rulings[query.game_id]
        found = ruling.error_present if isinstance(ruling, Labels) else None
        judged.append(Judged(edit, before, after, found, ruling.source, ruling.reason))
    return judged


def print_table(judged: Sequence[Judged]) -> None:
    by_category: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in judged:
        by_category[item.edit.category][item.outcome] += 1
        by_category[f"all, by {item.source}"][item.outcome] += 1
    for total in [name for name in by_category if name.startswith("all, by ")]:
        by_category[total] = by_category.pop(total)
    print("| edit | edits | decided rightly | abstained | false |\n|---|---|---|---|---|")
    for category, outcomes in by_category.items():
        figures = [outcomes.total(), *(outcomes[name] for name in ("right", "abstained", "false"))]
        print(f"| {category} | {' | '.join(map(str, figures))} |")


if __name__ == "__main__":
    main()
