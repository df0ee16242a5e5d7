"""``medical-team doctor``: is everything ready?"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from .. import __version__
from ..doctor.examination import GROUPS, examine
from ..doctor.findings import (
    Finding,
    Status,
    finding_text,
    has_failure,
    header_text,
    is_minor,
    skipped_text,
    summary_text,
)
from ..doctor.subject import Subject
from .arguments import say
from .train import NO_PLAN, PlanArguments, TrainArguments, read_arguments

FORMAT = "medical-team doctor 1"

EXIT_FAILED = 1


@dataclass(frozen=True)
class DoctorArguments(TrainArguments):
    """Look whether everything is ready for a run: data, models, engine, judge, GPU, memory, disk.

    Takes what `train` takes; without anything, it looks at what `train` needs without anything. Changes nothing: it
    writes no file, fetches nothing large and starts nothing. Ends with 1 if something failed.
    """

    resume: Annotated[Path | None, tyro.conf.Suppress, tyro.conf.Fixed] = None
    planning: Annotated[PlanArguments, tyro.conf.arg(name=""), tyro.conf.Suppress, tyro.conf.Fixed] = NO_PLAN
    dry_run: Annotated[bool, tyro.conf.Suppress, tyro.conf.Fixed] = False
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False
    """The findings as JSON."""


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status: 1 if a check failed, else 0."""
    chosen = read_arguments(DoctorArguments, "doctor", arguments)
    subject = Subject(chosen.config, chosen.run)
    findings = _as_json(subject) if chosen.as_json else _as_text(subject)
    return EXIT_FAILED if has_failure(findings) else 0


def _as_text(subject: Subject) -> list[Finding]:
    is_plain = "NO_COLOR" in subject.environment or subject.environment.get("TERM", "") in ("", "dumb")
    has_colour = sys.stdout.isatty() and not is_plain
    say(header_text(subject))
    findings: list[Finding] = []
    shown = ""
    for finding in examine(GROUPS, subject):
        findings.append(finding)
        if not is_minor(finding):
            say(finding_text(finding, is_first=shown != finding.group, has_colour=has_colour))
            # At once: some checks take a while.
            sys.stdout.flush()
            shown = finding.group
    say(skipped_text(findings) + summary_text(findings))
    return findings


def _as_json(subject: Subject) -> list[Finding]:
    findings = list(examine(GROUPS, subject))
    counts = {status.value: sum(finding.status is status for finding in findings) for status in Status}
    page = {
        "format": FORMAT,
        "version": __version__,
        "engine": subject.config.engine.kind,
        "is_ready": not has_failure(findings),
        "counts": counts,
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    sys.stdout.write(json.dumps(page, indent=2) + "\n")
    return findings
