"""The models tried, each in a process of its own, by the Python that will train: whether their chat templates show what
is said, and by the functions with which a run begins whether the policy can be trained here and the opponent speaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ..config import TINY_RANDOM_MODEL
from ..errors import EngineError
from ..jsonl import from_line, to_line
from . import models
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .hub import folder_here, offline_variable
from .subject import PROBE, TORCH_SECONDS, Subject, run_command

TEMPLATE_SECONDS = 150.0
"""A first import of transformers from a cold or remote disk takes a minute and more."""


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
    ended = run_command([python, PROBE, "template", folder], TEMPLATE_SECONDS, environment=environment)
    try:
        return from_line(ended.output.strip().rpartition("\n")[2], _Told)
    except (ValidationError, ValueError):
        return _Told("", f"it could not be looked at: {ended.reason}")


_POLICY_SECONDS = 180.0
"""To load a model and probe it. A large one on a slow disk takes longer, and is probed when the run starts."""

PROBE_SECONDS = TORCH_SECONDS + _POLICY_SECONDS + 10.0

_ROOT = Path(__file__).resolve().parents[2]
_CHANGE = "set what the line names, or take another --{option}"


@dataclass(frozen=True)
class _Probed:
    problem: str
    absent: str = ""
    """What is not on this machine yet."""
    sampler: float | None = None


def probe_seen(subject: Subject) -> Seen:
    """The policy draws replies, learns from them as they were drawn, and has gradients; prompts fit into it."""
    if not subject.is_local:
        return skipped(f"the engine {subject.config.engine.kind} trains with its own libraries")
    found = _tried("policy", subject.config.policy.model, "policy.model", subject)
    if isinstance(found, Seen):
        return found
    if found.sampler is None:
        return skipped("its context window is too short for the probe's prompts")
    return ok(f"draws, learns and gives gradients; sampler and learner differ by {found.sampler:.1e} a token")


def opponent_seen(subject: Subject) -> Seen:
    """The fixed opponent is loaded and speaks."""
    name = subject.config.opponents.fixed
    if name is None or not subject.is_local:
        return models.opponent(subject)
    found = _tried("opponent", name, "opponents.fixed", subject)
    return found if isinstance(found, Seen) else ok(f"{name} speaks")


def judge_seen(subject: Subject) -> Seen | None:
    """What keeps the judge "model" from being loaded on this machine, as far as that is known before; None: nothing."""
    found = _tried("judge", TINY_RANDOM_MODEL, "judge.model", subject)
    return found if isinstance(found, Seen) else None


def _tried(question: str, name: str, option: str, subject: Subject) -> _Probed | Seen:
    """What the probe finds, or what is to be told where it finds nothing or something wrong."""
    if models.may_be_fetched(name) and folder_here(name, subject.environment) is None:
        return skipped(f"{name} is not on this machine yet; it is probed when the run starts")
    if subject.torch().version is None:
        return skipped("can't be checked: torch can't be imported")
    environment = {
        **subject.environment,
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [subject.environment.get("PYTHONPATH")])]),
    }
    ended = run_command(
        [subject.python, "-m", f"{__package__}.probe", question, to_line(subject.config)],
        _POLICY_SECONDS,
        environment=environment,
    )
    if ended.status is None:
        return warning(
            f"not probed: {ended.reason}", "start the run: it probes its model before the first game, without a limit"
        )
    try:
        found = from_line(ended.output.strip().rpartition("\n")[2], _Probed)
    except (ValidationError, ValueError):
        return failed(
            f"the probe broke, with {ended.reason}",
            "look whether there is memory enough (`free -g`, `nvidia-smi`); else report this line",
        )
    if found.absent and offline_variable(subject.environment) is None:
        return skipped("its base is not on this machine yet; it is probed when the run starts")
    problem = found.problem or found.absent
    return failed(problem, _CHANGE.format(option=option)) if problem else found


GROUP = Group(
    "Models",
    (
        Check("policy_model", models.policy, models.MODEL_SECONDS),
        Check("judge_model", models.judging, models.MODEL_SECONDS),
        Check("opponent_model", models.opponent, models.MODEL_SECONDS),
        Check("chat_template", chat_template, TEMPLATE_SECONDS, after="policy_model"),
        Check("policy_probe", probe_seen, PROBE_SECONDS, after="policy_model"),
        Check("opponent_probe", opponent_seen, PROBE_SECONDS, after="opponent_model"),
        Check("fork_models", models.of_fork, models.MODEL_SECONDS),
        Check("hub_token", models.token),
        Check("offline", models.offline),
    ),
)
