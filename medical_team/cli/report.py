"""``medical-team report``: what happened in a run, as one HTML file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..errors import UsageError
from ..report.page_file import write_report
from ..runs.info import check_output
from ..terminal_text import encodable, visible
from .arguments import parse

FILE_NAME = "report.html"


@dataclass(frozen=True)
class ReportArguments:
    """Write what happened in a run as one HTML file: success criteria, alarms, curves, and every game to read.

    The file needs no network and opens in any current browser. The run may still be going on, or have been killed. The
    file holds the run's notes: share it only where you may share those.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders of runs; the curves of several lie over one another."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The file to write; without it, report.html in the folder of the one run."""


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    chosen = parse(ReportArguments, "report", arguments)
    if not chosen.runs:
        raise UsageError("name the folder of a run, such as runs/quickstart")
    if len(set(map(os.path.realpath, chosen.runs))) < len(chosen.runs):
        raise UsageError("a run is named twice; name each once")
    output = _output(chosen)
    check_output(output)
    games = write_report(chosen.runs, output)
    told = f"The report, with {games:,} game{'' if games == 1 else 's'} to read, is {output}\n"
    sys.stdout.write(encodable(visible(told), sys.stdout))
    return 0


def _output(chosen: ReportArguments) -> Path:
    if chosen.output is not None:
        return chosen.output
    first, *others = chosen.runs
    if others:
        raise UsageError("name the file of a report on several runs with -o FILE.html")
    return first / FILE_NAME
