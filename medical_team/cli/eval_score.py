"""``medical-team eval score``: the official metrics of a submission file."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from ..evaluation.medec_texts import MedecFile, load_medec
from ..evaluation.official import OfficialScores, official_scores
from ..evaluation.submission import Submission, read_submission
from ..evaluation.tables import figure, table
from .arguments import parse


@dataclass(frozen=True)
class ScoreArguments:
    """Score a submission as the organisers of MEDIQA-CORR 2024 do, to the last digit.

    On a terminal: a table. Else one `name value` a line in full precision, remarks on standard error.
    """

    submission: tyro.conf.Positional[Path]
    """A line a text: text-id flag sentence-id correction; of a text held correct: text-id 0 -1 NA."""
    medec: Path
    """The MEDEC CSV with the truth."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(ScoreArguments, "eval score", arguments)
    medec = load_medec(chosen.medec)
    submission = read_submission(chosen.submission)
    scores = official_scores([text.reference for text in medec.texts], submission.answers)
    if sys.stdout.isatty():
        sys.stdout.write(_as_table(scores))
    else:
        sys.stdout.write(_as_lines(scores))
    sys.stdout.flush()
    sys.stderr.write("".join(f"{remark}\n" for remark in _remarks(scores, submission, medec)))
    return 0


def _as_lines(scores: OfficialScores) -> str:
    return "".join(f"{name} {value!r}\n" for name, value in scores.values().items() if value is not None)


def _as_table(scores: OfficialScores) -> str:
    return table(["metric", "value"], [[name, figure(value, 4)] for name, value in scores.values().items()])


def _remarks(scores: OfficialScores, submission: Submission, medec: MedecFile) -> Iterator[str]:
    yield f"{scores.answered} of {scores.texts} texts of {medec.name} are answered; a missing answer is wrong"
    unknown = sorted(submission.answers.keys() - {text.text_id for text in medec.texts})
    if unknown:
        yield f"ignored: {len(unknown)} ids that are not in {medec.name}, for example {unknown[0][:60]!r}"
    yield from submission.remarks
    yield from medec.remarks
    if scores.unscorable:
        yield f"mended: {scores.unscorable} corrections without a word score 0; the organisers' script fails on them"
    if not scores.pair_ids:
        yield "R1F, R2F, RLF: absent; no text has a correction in both the reference and the submission"
    for metric in scores.absent:
        yield f"{metric.name}: absent; {metric.reason}"
    if scores.absent:
        yield "aggregate: absent; it is the mean of R1F, BERTScore and BLEURT"
