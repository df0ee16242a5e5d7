"""``medical-team judge serve``: answer for a judge over HTTP."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

import tyro

from ..callbacks import Notify
from ..config import Device, JudgeConfig, JudgeEngine, judge_problems
from ..data.load import load_records
from ..errors import ConfigError, UsageError
from ..game_config import bound_problems
from ..judge.protocol import Judge, JudgeQuery
from ..judge.service import ServiceSettings
from ..judging import make_judge
from ..network.proxies import LOOPBACK, is_loopback
from ..network.secrets import bearer_token
from ..records import NotePair, Verdict
from .arguments import load_scorer, parse, with_judge_spelled_out

if TYPE_CHECKING:
    from ..judge.service.server import JudgeService


@dataclass(frozen=True)
class ServeArguments:
    """Answer for a judge over HTTP: POST /judge, /classify, /get_reward; GET /health, /ready, /info, /metrics.

    --judge NAME chooses the judge: model (the default), reference, openai or hybrid; its options are those of the
    section [judge] of a run. Where the environment variable that --judge.token_variable names is set, clients must send
    its value as their bearer token.
    """

    model: str | None = None
    """The judging model, a Hugging Face name or folder; without it google/medgemma-4b-it. The same as --judge.model."""
    device: Device | None = None
    """Where it computes. The same as --judge.device."""
    backend: JudgeEngine | None = None
    """What reads its questions: transformers, which is built in, or vllm. The same as --judge.engine."""
    references: str | None = None
    """Known cases: a train.jsonl that `data build` wrote, or "sample". By them the judge knows a note from its text."""
    host: str = LOOPBACK
    """Address to listen at. 127.0.0.1 is reached from this machine alone, 0.0.0.0 from everywhere."""
    port: int = 8000
    """Port to listen at; 0: any free one."""
    limits: Annotated[ServiceSettings, tyro.conf.arg(name="")] = field(default_factory=ServiceSettings)
    judge: Annotated[JudgeConfig, tyro.conf.FlagConversionOff] = field(
        default_factory=lambda: JudgeConfig(kind="model")
    )


def main(arguments: Sequence[str]) -> int:
    """Run the command. Returns the exit status."""
    chosen = parse(ServeArguments, "judge serve", with_judge_spelled_out(arguments), use_underscores=True)
    service = make_service(chosen, _say)
    service.run()
    return 0


def make_service(chosen: ServeArguments, notify: Notify) -> JudgeService:
    """The service that ``chosen`` asks for: flags, references and port are checked, no model is loaded.

    Raises:
        ModuleNotFoundError: the extra ``judge`` is not installed.
        MedicalTeamError: an argument, the references or the port can't be used.
    """
    from ..judge.service.app import Served
    from ..judge.service.server import JudgeService, bound_socket

    config = _judge_config(chosen)
    pairs = _references(chosen, config, notify)
    token = bearer_token(config.token_variable)
    if not 0 <= chosen.port <= 65535:
        raise UsageError(f"--port is {chosen.port}, expected 0 to 65535")
    listener = bound_socket(chosen.host, chosen.port)
    model = "reference" if config.kind == "reference" else config.model
    served = Served(config.kind, model, chosen.limits)

    def load() -> Judge:
        judge = make_judge(config, pairs, notify, load_scorer)
        # So that the first client doesn't wait for what it sets up at first use.
        judge.rule([JudgeQuery("warm-up", "A note that is nobody's.", Verdict.SAFE)])
        return judge

    service = JudgeService(load, served, listener, token=token, notify=notify)
    if not is_loopback(chosen.host) and token is None:
        notify(
            f"warning: {service.url} is reached from other machines, and anybody there may ask this judge. Set "
            f"{config.token_variable} here and for the clients, or use --host {LOOPBACK}"
        )
    notify(f"Loading the judge {served.model}; {service.url}/health tells when it is ready")
    return service


def _judge_config(chosen: ServeArguments) -> JudgeConfig:
    config = chosen.judge
    if chosen.model is not None and config.kind == "reference":
        raise UsageError("the reference judge needs no model: leave out --model, or say --judge model")
    short = {"model": chosen.model, "device": chosen.device, "engine": chosen.backend}
    config = replace(config, **{name: value for name, value in short.items() if value is not None})
    if problems := [*bound_problems(chosen.limits, ""), *judge_problems(config, "judge.")]:
        raise ConfigError("The judge can't be set up:", problems)
    return config


def _references(chosen: ServeArguments, config: JudgeConfig, notify: Notify) -> tuple[NotePair, ...]:
    if chosen.references is not None:
        records = load_records(chosen.references)
        pairs = tuple(dict.fromkeys(record.pair for record in records))
        notify(f"{len(pairs)} known cases from {chosen.references}")
        return pairs
    if config.kind in ("reference", "hybrid"):
        notify(
            "warning: without --references train.jsonl the reference judge rules only on games that bring their case "
            "with them, as `medical-team train --judge http://...` sends them"
        )
    return ()


def _say(text: str) -> None:
    stream = sys.stderr if text.startswith("warning: ") else sys.stdout
    stream.write(f"{text}\n")
    stream.flush()
