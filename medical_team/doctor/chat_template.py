"""Chat templates: does the model get to read what it is asked?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ..config import TINY_RANDOM_MODEL
from ..errors import EngineError
from ..jsonl import from_line
from .commands import run_command
from .findings import Seen, failed, ok, skipped
from .hub_cache import folder_here
from .subject import Subject

SECONDS = 150.0
"""A first import of transformers from a cold or remote disk takes a minute and more."""

_PROBE = Path(__file__).with_name("probe_template.py")


@dataclass(frozen=True)
class _Told:
    problem: str
    skipped: str


def chat_template(subject: Subject) -> Seen:
    """The chat template of the policy, and of a judge in this process, shows a message whole."""
    looked_at: list[str] = []
    reasons: list[str] = []
    for name, option in _models(subject):
        folder = _folder(name, subject)
        if folder is None:
            reasons.append(f"{name} is not on this machine yet")
            continue
        told = _ask(folder, subject)
        if told.problem:
            mend = f"name another in --{option}, or put a file chat_template.jinja into its folder"
            return failed(f"the chat template of {name} {told.problem}", mend)
        (reasons if told.skipped else looked_at).append(told.skipped or name)
    if not looked_at:
        return skipped("; ".join(reasons) or "no model of this run has a template to look at")
    return ok(f"shows a message as it is: {', '.join(looked_at)}")


def _models(subject: Subject) -> Iterator[tuple[str, str]]:
    if subject.config.policy.model != TINY_RANDOM_MODEL:
        yield subject.config.policy.model, "policy.model"
    if "model" in subject.judge_kinds:
        yield subject.config.judge.model, "judge.model"


def _folder(name: str, subject: Subject) -> Path | None:
    found = folder_here(name, subject.environment)
    # An adapter's folder may leave the tokenizer to its base.
    return found if found is not None and any("token" in path.name for path in found.iterdir()) else None


def _ask(folder: Path, subject: Subject) -> _Told:
    try:
        python = subject.python
    except EngineError as error:
        return _Told("", str(error))
    environment = {**subject.environment, "HF_HUB_OFFLINE": "1"}
    ended = run_command([python, _PROBE, folder], SECONDS, environment=environment)
    try:
        return from_line(ended.output.strip().rpartition("\n")[2], _Told)
    except (ValidationError, ValueError):
        return _Told("", f"it could not be looked at: {ended.reason}")
