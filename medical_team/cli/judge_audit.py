"""``medical-team judge audit``: measure a judge against MEDEC's ground truth."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ..config import JudgeConfig
from ..evaluation.folders import as_json
from ..evaluation.judge_audit import AuditFigures, Figure, JudgeAudit, audit, choose_pairs, items_of, load_cases
from ..evaluation.tables import TableFormat, figure, interval_text, table
from ..files import atomic_text
from ..judging import make_judge
from ..runs.info import check_output
from .arguments import load_scorer, parse, progress_of, remark, with_judge_spelled_out

_METRICS = {
    "accuracy": "accuracy, of what it ruled on",
    "right_of_all": "right, of all",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "specificity": "specificity",
    "pair_accuracy": "pair accuracy, of all pairs",
    "abstained": "abstained",
    "failed": "failed, parse failures included",
    "calibration_error": "calibration error",
}


@dataclass(frozen=True)
class AuditArguments:
    """Measure a judge against MEDEC's ground truth, intervals bootstrapped over near-duplicate groups.

    The judge is asked about both notes of every error case and about harmless rewrites of the corrected one, so that
    "any change is an error" scores badly. --judge NAME chooses it: reference, model, openai, hybrid, or the address of
    a judge service; its options are those of the section [judge] of a run.
    """

    medec: Path
    """A MEDEC CSV with its ground truth, or one made by `data synth`."""
    cases: int | None = None
    """Error cases to use, for a slow judge; without it: all."""
    seed: int = 42
    """Decides which."""
    text_only: bool = False
    """Don't tell the judge which case a note was made from: it must find it, or know."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Write all figures to this JSON file."""
    format: TableFormat = "text"
    """The look of the tables."""
    judge: Annotated[JudgeConfig, tyro.conf.FlagConversionOff] = field(default_factory=JudgeConfig)


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status."""
    chosen = parse(AuditArguments, "judge audit", with_judge_spelled_out(arguments), use_underscores=True)
    if chosen.output is not None:
        check_output(chosen.output, chosen.medec)
    cases = load_cases(chosen.medec)
    pairs = choose_pairs(cases.pairs, chosen.cases, chosen.seed)
    # A judge that must find the case looks among all of them, as it would in a run.
    judge = make_judge(chosen.judge, cases.pairs, remark, load_scorer)
    result = audit(
        judge, items_of(pairs), file=cases.name, is_text_only=chosen.text_only, on_progress=progress_of("notes")
    )
    if chosen.output is not None:
        with atomic_text(chosen.output) as file:
            file.write(as_json(result))
    sys.stdout.write(audit_page(result, chosen.format))
    for refusal in cases.refusals:
        remark(f"not used: {refusal}")
    return 0


def audit_page(result: JudgeAudit, form: TableFormat) -> str:
    """The tables of an audit."""
    cases = f"{result.cases} error cases ({result.near_duplicate_groups} near-duplicate groups) of {result.file}"
    return "\n".join(
        [
            f"The judge {result.judge} on {cases}",
            *_details(result),
            "",
            table(["figure", "notes", "95 %", "with rewrites", "95 %"], list(_metric_rows(result)), form),
            table(
                ["error type", "pairs", "accuracy", "recall", "specificity", "pair accuracy", "95 %", "abstained"],
                [_type_row(name, figures) for name, figures in result.by_error_type.items()],
                form,
            ),
            table(
                ["harmless rewrite", "notes", "specificity", "95 %", "abstained", "failed"],
                [_rewrite_row(name, figures) for name, figures in result.by_rewrite.items()],
                form,
            ),
        ]
    )


def _details(result: JudgeAudit) -> Iterator[str]:
    sources = ", ".join(f"{count} by {source}" for source, count in result.sources.items()) or "none"
    yield f"rulings: {sources}; {result.notes_a_second:.1f} notes a second"
    if result.prompt_version:
        yield f"prompt version {result.prompt_version}"
    if result.is_text_only:
        yield "text only: the judge was not told which case a note was made from"


def _metric_rows(result: JudgeAudit) -> Iterator[list[str]]:
    for name, title in _METRICS.items():
        row = [title]
        for figures in (result.notes, result.with_rewrites):
            found: Figure = getattr(figures, name)
            row += [figure(found.value), interval_text(found.interval)]
        yield row


def _type_row(name: str, figures: AuditFigures) -> list[str]:
    pairs = figures.pair_accuracy
    rates = [figures.accuracy, figures.recall, figures.specificity, pairs]
    shown = [figure(rate.value) for rate in rates]
    return [name, str(pairs.count), *shown, interval_text(pairs.interval), figure(figures.abstained.value)]


def _rewrite_row(name: str, figures: AuditFigures) -> list[str]:
    specificity = figures.specificity
    return [
        name,
        str(figures.notes),
        figure(specificity.value),
        interval_text(specificity.interval),
        figure(figures.abstained.value),
        figure(figures.failed.value),
    ]
