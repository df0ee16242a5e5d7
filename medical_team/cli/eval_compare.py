"""``medical-team eval compare``: evaluations side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from ..evaluation.comparison import ComparedFigure, Comparison, compare, read_outcomes
from ..evaluation.tables import ABSENT, TableFormat, figure, interval_text, table
from ..metrics.statistics import CONFIDENCE
from .arguments import parse

_DIGITS = 3
_COLUMNS = (
    "measure", "model", "value", "low", "high", "deviation", "runs",
    "difference", "difference_low", "difference_high",
)  # fmt: skip


@dataclass(frozen=True)
class CompareArguments:
    """Compare evaluations that were asked the same, each with the first.

    Runs that differ only in their seed are pooled as mean and standard deviation.
    """

    evaluations: tyro.conf.Positional[tuple[Path, ...]]
    """Folders that `eval medec` or `eval games` wrote."""
    format: TableFormat = "text"
    """How the table is written."""
    seed: int = 0
    """Decides the draws of the bootstrap."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(CompareArguments, "eval compare", arguments)
    comparison = compare([read_outcomes(path) for path in chosen.evaluations], seed=chosen.seed)
    sys.stdout.write(_table(comparison, chosen.format))
    sys.stdout.flush()
    sys.stderr.write("".join(f"{remark}\n" for remark in _remarks(comparison)))
    return 0


def _table(comparison: Comparison, form: TableFormat) -> str:
    if form == "csv":
        return table(_COLUMNS, [_numbers(found) for found in comparison.figures], form)
    interval = f"{CONFIDENCE:.0%} interval"
    header = ["measure", "model", "value", interval, "difference", interval]
    rows = [_row(found) for found in comparison.figures]
    return table(header, rows, form)


def _numbers(found: ComparedFigure) -> list[str]:
    """The columns of a spreadsheet: one number in each, in full precision, nothing where there is none."""
    runs, interval, difference_interval = found.runs, found.interval, found.difference_interval
    values = [
        runs and runs.mean,
        interval and interval.low,
        interval and interval.high,
        runs and runs.deviation,
        runs and runs.runs,
        found.difference,
        difference_interval and difference_interval.low,
        difference_interval and difference_interval.high,
    ]
    return [found.measure, found.side, *("" if value is None else repr(value) for value in values)]


def _row(found: ComparedFigure) -> list[str]:
    value = ABSENT if found.runs is None else figure(found.runs.mean, _DIGITS)
    if found.runs is not None and found.runs.deviation is not None:
        value += f" ± {found.runs.deviation:.{_DIGITS}f} (n = {found.runs.runs})"
    difference = ABSENT if found.difference is None else f"{found.difference:+.{_DIGITS}f}"
    return [
        found.measure,
        found.side,
        value,
        interval_text(found.interval),
        difference,
        interval_text(found.difference_interval),
    ]


def _remarks(comparison: Comparison) -> Iterator[str]:
    yield f"{comparison.items} {comparison.kind}, in {comparison.groups} near-duplicate groups"
    first = comparison.sides[0]
    yield f"differences are to {first.label}"
    for side in comparison.sides[1:]:
        if side.mcnemar is None:
            yield f"{first.label} and {side.label}: McNemar's test is for single runs, these are several"
            continue
        yield (
            f"{first.label} and {side.label}: {side.mcnemar.only_first} items right only in the first, "
            f"{side.mcnemar.only_second} only in the second; McNemar's exact p = {side.mcnemar.p:.3g}"
        )
    if len(comparison.sides) > 2:
        yield f"{len(comparison.sides) - 1} comparisons, not corrected for their number"
