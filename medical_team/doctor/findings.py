"""What the doctor finds, as plain values, and as a table for a person: a sign and a word for each, what was found,
and below it what may be done about it."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import IO

from ..terminal_text import encodable, visible
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


WIDEST = 100

_SIGNS = {Status.OK: "✓", Status.WARNING: "!", Status.FAILED: "✗", Status.SKIPPED: "-"}
_PLAIN_SIGNS = {Status.OK: "+", Status.WARNING: "!", Status.FAILED: "x", Status.SKIPPED: "-"}
_COLOURS = {Status.OK: "32", Status.WARNING: "33", Status.FAILED: "31", Status.SKIPPED: "2"}
_INDENT = 12
_COMMAND = re.compile(r"(medical-team|pip|rm|cp|ray|hf|export|unset|nvidia-smi|ss|/\S+|--\S+)\s")


@dataclass(frozen=True)
class Style:
    """How lines are written."""

    stream: IO[str]
    width: int
    has_colour: bool
    signs: Mapping[Status, str]


def table_style(stream: IO[str], environment: Mapping[str, str]) -> Style:
    """The style that fits ``stream``."""
    width = min(WIDEST, shutil.get_terminal_size((80, 24)).columns)
    is_plain = "NO_COLOR" in environment or environment.get("TERM", "") in ("", "dumb")
    try:
        "".join(_SIGNS.values()).encode(getattr(stream, "encoding", None) or "utf-8")
        signs = _SIGNS
    except UnicodeEncodeError:
        signs = _PLAIN_SIGNS
    return Style(stream, max(40, width), stream.isatty() and not is_plain, signs)


def header_lines(subject: Subject, style: Style) -> list[str]:
    """What is looked at."""
    config = subject.config
    judge = config.judge.kind + (f" at {config.judge.url}" if config.judge.url else "")
    looked_at = f"Engine {config.engine.kind}, policy {config.policy.model}, data {config.data.train}, judge {judge}."
    return _wrapped(subject.secrets.hidden_in(looked_at), "", style)


def finding_lines(finding: Finding, style: Style, *, is_first: bool) -> list[str]:
    """One finding; before the first of its group, the group's title."""
    title = ["", finding.group] if is_first else []
    word = f"{style.signs[finding.status]} {finding.status.value}"
    lines = _wrapped(f"{finding.name}: {finding.found}", " " * _INDENT, style)
    start = f"  {word:<{_INDENT - 2}}"
    if style.has_colour:
        start = start.replace(word, f"\x1b[{_COLOURS[finding.status]}m{word}\x1b[0m")
    lines[0] = start + lines[0][_INDENT:]
    return [*title, *lines, *(line for part in finding.mend.splitlines() for line in _mend_lines(part, style))]


def _mend_lines(mend: str, style: Style) -> list[str]:
    command, _, explanation = mend.partition("   (")
    if len(mend) + _INDENT + 3 <= style.width or not _COMMAND.match(command):
        arrow = f"{' ' * _INDENT}-> "
        return _wrapped(mend, arrow, style, later=" " * len(arrow))
    # A command is never broken: it is there to be copied.
    said = _wrapped(f"({explanation}", " " * (_INDENT + 3), style) if explanation else []
    return [f"{' ' * _INDENT}-> {_clean(command, style)}", *said]


def skipped_lines(findings: Sequence[Finding], style: Style) -> list[str]:
    """What was not looked at, and why: apart from the rest, since most of it is nothing that this run needs."""
    skipped = [finding for finding in findings if is_minor(finding)]
    lines = [
        line
        for finding in skipped
        for line in _wrapped(
            f"{finding.name}: {finding.found}", f"  {style.signs[Status.SKIPPED]} ", style, later="    "
        )
    ]
    return ["", "Not looked at", *lines] if lines else []


def is_minor(finding: Finding) -> bool:
    """Whether ``finding`` is left for the end."""
    return finding.status is Status.SKIPPED and not finding.mend


def summary_lines(findings: Sequence[Finding], style: Style) -> list[str]:
    """How many checks ended how, and what it means."""
    counts = {status: sum(finding.status is status for finding in findings) for status in Status}
    told = ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])
    failures = [finding.name for finding in findings if finding.status is Status.FAILED]
    verdict = f"Not ready: mend {', '.join(failures)}." if failures else "Ready."
    return ["", *_wrapped(f"{told}. {verdict}", "", style)]


def _wrapped(text: str, indent: str, style: Style, *, later: str | None = None) -> list[str]:
    """``text`` at the style's width, behind ``indent``; its further lines behind ``later``, where that differs."""
    wrapper = textwrap.TextWrapper(
        style.width,
        initial_indent=indent,
        subsequent_indent=indent if later is None else later,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line for part in _clean(text, style).splitlines() or [""] for line in wrapper.wrap(part) or [indent]]


def _clean(text: str, style: Style) -> str:
    return encodable(visible(text), style.stream)
