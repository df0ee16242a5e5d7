"""What the doctor finds, as plain values, and as text for a person: a sign and a word for each, what was found,
and below it what may be done about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from ..terminal_text import visible
from .subject import Subject


class Status(str, Enum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It can be trained so, but worse or slower than meant."""
    FAILED = "failed"
    """It can't be trained so, or would learn from nonsense."""
    SKIPPED = "skipped"
    """There was nothing to check, or it can't be checked."""


@dataclass(frozen=True)
class Seen:
    """What one check saw."""

    status: Status
    found: str
    """What was found, as a sentence or less."""
    mend: str = ""
    """The command to type or the option to set; empty where nothing needs mending."""


@dataclass(frozen=True)
class Check:
    """One thing to look at."""

    name: str
    look: Callable[[Subject], Seen]
    seconds: float = 30.0
    """The longest that it may take; beyond it the check has failed."""
    after: str = ""
    """A check of the same examination without whose success this one can't be made."""


@dataclass(frozen=True)
class Group:
    """Checks that belong together."""

    title: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Finding:
    """What the doctor tells of one check."""

    group: str
    name: str
    status: Status
    found: str
    mend: str
    seconds: float
    """How long the check took."""


def ok(found: str) -> Seen:
    """All is well."""
    return Seen(Status.OK, found)


def warning(found: str, mend: str = "") -> Seen:
    """It will do."""
    return Seen(Status.WARNING, found, mend)


def failed(found: str, mend: str) -> Seen:
    """It won't do. Each failure says what mends it."""
    return Seen(Status.FAILED, found, mend)


def skipped(found: str, mend: str = "") -> Seen:
    """There was nothing to check, for the reason ``found``."""
    return Seen(Status.SKIPPED, found, mend)


def has_failure(findings: Sequence[Finding]) -> bool:
    """Whether any check failed."""
    return any(finding.status is Status.FAILED for finding in findings)


_SIGNS = {Status.OK: "✓", Status.WARNING: "!", Status.FAILED: "✗", Status.SKIPPED: "-"}
_COLOURS = {Status.OK: "32", Status.WARNING: "33", Status.FAILED: "31", Status.SKIPPED: "2"}
_INDENT = " " * 12


def header_text(subject: Subject) -> str:
    """What is looked at."""
    config = subject.config
    judge = config.judge.kind + (f" at {config.judge.url}" if config.judge.url else "")
    looked_at = f"Engine {config.engine.kind}, policy {config.policy.model}, data {config.data.train}, judge {judge}."
    return visible(subject.secrets.hidden_in(looked_at)) + "\n"


def finding_text(finding: Finding, *, is_first: bool, has_colour: bool) -> str:
    """One finding; before the first of its group, the group's title."""
    title = f"\n{finding.group}\n" if is_first else ""
    word = f"{_SIGNS[finding.status]} {finding.status.value:<8}"
    if has_colour:
        word = f"\x1b[{_COLOURS[finding.status]}m{word}\x1b[0m"
    found = visible(finding.found).replace("\n", f"\n{_INDENT}")
    # What a command does stands below it, so that the command can be copied.
    mends = visible(finding.mend).replace("   (", f"\n{_INDENT}   (").replace("\n", f"\n{_INDENT}-> ")
    mends = mends.replace(f"{_INDENT}-> {_INDENT}", _INDENT)
    return f"{title}  {word}{finding.name}: {found}\n" + (f"{_INDENT}-> {mends}\n" if mends else "")


def skipped_text(findings: Sequence[Finding]) -> str:
    """What was not looked at, and why: apart from the rest, since most of it is nothing that this run needs."""
    told = [f"  - {finding.name}: {finding.found}\n" for finding in findings if is_minor(finding)]
    return visible("".join(["\nNot looked at\n", *told])) if told else ""


def is_minor(finding: Finding) -> bool:
    """Whether ``finding`` is left for the end."""
    return finding.status is Status.SKIPPED and not finding.mend


def summary_text(findings: Sequence[Finding]) -> str:
    """How many checks ended how, and what it means."""
    counts = {status: sum(finding.status is status for finding in findings) for status in Status}
    told = ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])
    failures = [finding.name for finding in findings if finding.status is Status.FAILED]
    verdict = f"Not ready: mend {', '.join(failures)}." if failures else "Ready."
    return f"\n{told}. {verdict}\n"
