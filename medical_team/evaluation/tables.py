"""Tables of figures: aligned text for a terminal, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Literal

from ..metrics.statistics import CONFIDENCE, Figure, Interval

TableFormat = Literal["text", "markdown", "latex", "csv"]

ABSENT = "-"

_LATEX = {mark: f"\\{mark}" for mark in "&%$#_{}"} | {
    "±": r"$\pm$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]], form: TableFormat = "text") -> str:
    """``rows`` under ``header``, the first column as names, the others as figures. Ends with a newline."""
    return {"text": _text, "markdown": _markdown, "latex": _latex, "csv": _csv}[form](header, rows)


def figure(value: float | None, digits: int = 3) -> str:
    """A figure rounded for people; a dash where there is none."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def interval_text(interval: Interval | None) -> str:
    """An interval rounded for people; a dash where there is none."""
    return ABSENT if interval is None else str(interval)


def figure_with_interval(found: Figure | None) -> str:
    """A figure and, where it has one, its interval behind it."""
    if found is None or found.interval is None:
        return figure(None if found is None else found.value)
    return f"{figure(found.value)} ({found.interval})"


def figures_table(label: str, things: str, figures: Mapping[str, Figure], **floors: Mapping[str, float | None]) -> str:
    """Figures with their intervals and of how many ``things`` they are, beside others by the same names."""
    rows = [
        [
            name,
            figure(found.value),
            interval_text(found.interval),
            str(found.of),
            *(figure(floor[name]) for floor in floors.values()),
        ]
        for name, found in figures.items()
    ]
    return table([label, "value", f"{CONFIDENCE:.0%} interval", things, *floors], rows)


def _text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines) + "\n"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    escaped = [[cell.replace("|", r"\|").replace("\n", " ") for cell in row] for row in [header, *rows]]
    return "".join(f"| {' | '.join(row)} |\n" for row in [escaped[0], rule, *escaped[1:]])


def _latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(mark, mark) for mark in cell) for cell in cells) + r" \\"

    columns = "l" + "r" * (len(header) - 1)
    body = [r"\hline", line(header), r"\hline", *map(line, rows), r"\hline"]
    return "\n".join([rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"]) + "\n"


def _csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return file.getvalue()
