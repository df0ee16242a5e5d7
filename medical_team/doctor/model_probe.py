"""Whether the policy can be trained here: the probe with which a run begins, in a process of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ..config import TINY_RANDOM_MODEL
from ..jsonl import from_line, to_line
from .commands import run_command
from .findings import Seen, failed, ok, skipped, warning
from .hub_cache import folder_here
from .subject import Subject
from .torch_found import SECONDS as TORCH_SECONDS

SECONDS = 180.0
"""To load a model and probe it. A large one on a slow disk takes longer, and is probed when the run starts."""

LONGEST = TORCH_SECONDS + SECONDS + 10.0

_PROBE = f"{__package__}.probe_model"
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class _Probed:
    problem: str
    passes: float | None
    sampler: float | None


def probe_seen(subject: Subject) -> Seen:
    """The policy draws replies, learns from them as they were drawn, and has gradients."""
    model = subject.config.policy.model
    if not subject.is_local:
        return skipped(f"the engine {subject.config.engine.kind} trains with its own libraries")
    if model != TINY_RANDOM_MODEL and folder_here(model, subject.environment) is None:
        return skipped(f"{model} is not on this machine yet; it is probed when the run starts")
    if subject.torch().version is None:
        return skipped("can't be checked: torch can't be imported")
    environment = {
        **subject.environment,
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [subject.environment.get("PYTHONPATH")])]),
    }
    ended = run_command(
        [subject.python, "-m", _PROBE, to_line(subject.config.policy)], SECONDS, environment=environment
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
    return _seen(found)


def _seen(found: _Probed) -> Seen:
    if found.problem:
        return failed(found.problem, "set what the line names, or take another --policy.model")
    if found.sampler is None:
        return skipped("its context window is too short for the probe's prompts")
    return ok(f"draws, learns and gives gradients; sampler and learner differ by {found.sampler:.1e} a token")
