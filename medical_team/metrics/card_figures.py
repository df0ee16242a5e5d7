"""The figures of a run for the model card that goes beside its weights, by the same numbers as its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from ..runs.folder import RunFolder
from .alarms import LONG
from .criteria import Criterion, criteria
from .run_reader import RunReader

_FIGURES = (
    ("heldout/balanced_accuracy", "held-out balanced accuracy"),
    ("heldout/detection_rate", "held-out notes with an error: called Harmful"),
    ("heldout/specificity", "held-out notes without one: called Safe"),
    ("win_rate/attacker", "attacker's win rate"),
    ("assessor_accuracy/all", "assessor's right verdicts"),
    ("verdicts/false_alarm_rate", "false alarms"),
    ("format_violations/attacker", "attacker's format violations"),
    ("format_violations/assessor", "assessor's format violations"),
    ("void_share/all", "games that the judge left void"),
)


def figures_table(history: Sequence[Mapping[str, float]]) -> str:
    """A Markdown table of rates at the beginning and at the end of ``history``, the metrics of the steps so far.

    Empty where no rate is on record. Rates of games are means over some steps, held-out ones single evaluations.
    """
    rows = [row for name, label in _FIGURES if (row := _row(history, name, label))]
    if not rows:
        return ""
    head = [f"| share | first (of games: the first {LONG} steps) | last |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def criteria_table(run: RunFolder) -> str:
    """A Markdown table of the six success criteria of ``run``; reads all of its games.

    Raises:
        DataError: a file of the run is damaged.
    """
    reader = RunReader(run.path)
    reader.refresh()
    rows = [_criterion_row(criterion) for criterion in criteria(reader.steps(), reader.traces())]
    return "\n".join(["| criterion | | |", "|---|---|---|", *rows])


def _row(history: Sequence[Mapping[str, float]], name: str, label: str) -> str | None:
    values = [step[name] for step in history if name in step]
    if not values:
        return None
    span = 1 if name.startswith("heldout/") else LONG
    return f"| {label} | {fmean(values[:span]):.0%} | {fmean(values[-span:]):.0%} |"


def _criterion_row(criterion: Criterion) -> str:
    # A figure is our own sentence; still no character of it may end its cell.
    figure = criterion.figure.replace("|", "\\|").replace("\n", " ")
    return f"| {criterion.name} | {criterion.status.value} | {figure} |"
