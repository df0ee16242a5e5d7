"""The paths of a judge's service and what they answer, as a FastAPI application.

``/get_reward`` is what unmodified OpenRLHF asks a reward model, answered with the assessor's reward. Upstream sends the
whole text of a sample, its prompt, and the label of its data row. The note is the one between ``<note>`` and
``</note>`` in the prompt, or the seed note of the label where that is one of our records; what follows the prompt is
the assessor's reply. The reward is +1 for a right verdict and -1 for a wrong or unreadable one. Where the judge says
nothing there is no reward: null.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from ... import __version__
from ...jsonl import from_line
from ...records import JudgeFailure, Ruling, TrainingRecord, Verdict
from ..gathering import GatheringJudge
from ..protocol import JudgeQuery
from ..wire import JUDGING_PATHS, JudgeRequest, LabelsReply, Text, label_of, verdict_of
from . import ServiceSettings
from .gate import Gate, ServiceMetrics

PATHS = (*JUDGING_PATHS, "/get_reward", "/health", "/ready", "/info", "/metrics", "/openapi.json")

_DESCRIPTION = """\
Rules on games of medical_team: does a clinical note contain a medical error, and did the assessor say so? Research
software, not for clinical use. A label with is_parsing_error is the judge's own failure or
abstention, never a reward."""

_PROBLEMS_SHOWN = 50
_CLIENT_CLOSED = 499
_RETRY = {"Retry-After": "2"}


class Health(BaseModel):
    """Whether the judge is loaded."""

    status: str
    model: str


class Readiness(BaseModel):
    """Whether games are taken now."""

    ready: bool
    reason: str


class Info(BaseModel):
    """What serves here."""

    judge: str
    model: str
    version: str
    state: str
    waiting: int
    uptime_seconds: float
    limits: ServiceSettings


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


_JUDGING_PROBLEMS = {
    400: "The body is no JSON, or the client went away",
    408: "The request took too long to arrive",
    413: "Too many queries or too large a body",
    415: "The body is packed, or not said to be JSON",
    429: "Too many games wait; Retry-After says when to come back",
    500: "The service failed",
    503: "The judge is not loaded; Retry-After says when to come back",
}


class Served:
    """The judge behind the paths.

    Args:
        kind: what is told of it before it is loaded, e.g. ``reference``.
        model: its model; its kind where it has none.
        settings: sizes and limits.
    """

    def __init__(self, kind: str, model: str, settings: ServiceSettings) -> None:
        self.kind = kind
        self.model = model
        self.settings = settings
        self.judge: GatheringJudge | None = None
        """None until it is loaded."""
        self.started = time.monotonic()

    @property
    def state(self) -> str:
        """Whether the judge is loaded: ``healthy``, or ``loading``."""
        return "healthy" if self.judge else "loading"

    @property
    def waiting(self) -> int:
        """Games that were accepted and wait for the judge."""
        return self.judge.waiting if self.judge else 0

    @property
    def readiness(self) -> Readiness:
        """Whether games are taken now, or why not."""
        reason = "overloaded" if self.waiting >= self.settings.max_waiting else "" if self.judge else "loading"
        return Readiness(ready=not reason, reason=reason)

    async def rulings(self, request: Request, queries: Sequence[JudgeQuery]) -> list[Ruling]:
        """The judge's rulings, in order. When the client goes away, its games leave the queue."""
        if self.judge is None:
            raise HTTPException(503, "the judge is loading", _RETRY)
        waiting, limit = self.waiting, self.settings.max_waiting
        # Whatever its size, a request is taken when nothing else waits: else it could never be.
        if waiting and waiting + len(queries) > limit:
            raise HTTPException(429, f"{waiting} games wait for the judge already", _RETRY)
        answer = asyncio.ensure_future(self.judge.rule_in_order(queries))
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise HTTPException(_CLIENT_CLOSED, "the client went away")
            return answer.result()
        finally:
            gone.cancel()
            answer.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def make_app(served: Served, metrics: ServiceMetrics, token: str | None = None) -> ASGIApp:
    """The application around ``served``."""
    app = FastAPI(
        title="medical_team judge", version=__version__, description=_DESCRIPTION, docs_url=None, redoc_url=None
    )
    open_to_all, locked = APIRouter(), APIRouter()
    if token is not None:
        # The gate has looked at the token by then: this tells of it in the OpenAPI document.
        told = _described({401: "The bearer token is missing or wrong"})
        locked = APIRouter(dependencies=[Depends(HTTPBearer(auto_error=False))], responses=told)
    _add_state_paths(open_to_all, served)
    _add_other_paths(locked, served, metrics)
    app.include_router(open_to_all)
    app.include_router(locked)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    metrics.watch(lambda: served.waiting, lambda: served.readiness.ready)
    return Gate(app, served.settings, metrics, PATHS, token)


def _add_state_paths(router: APIRouter, served: Served) -> None:
    @router.get("/health", responses={200: {"model": Health}, 503: {"model": Health, "description": "Loading"}})
    async def health() -> Response:
        """Whether the judge is loaded: 503 until it is."""
        return _json(Health(status=served.state, model=served.model), 200 if served.judge else 503)

    @router.get("/ready", responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "Not now"}})
    async def ready() -> Response:
        """Whether games are taken now: 503 while loading or overloaded."""
        readiness = served.readiness
        return _json(readiness, 200 if readiness.ready else 503)


def _add_other_paths(router: APIRouter, served: Served, metrics: ServiceMetrics) -> None:
    @router.get("/info", responses={200: {"model": Info}})
    async def info() -> Response:
        """What serves here, and its limits."""
        return _json(
            Info(
                judge=served.kind,
                model=served.model,
                version=__version__,
                state=served.state,
                waiting=served.waiting,
                uptime_seconds=time.monotonic() - served.started,
                limits=served.settings,
            )
        )

    @router.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
    async def exposition() -> Response:
        """Counters in Prometheus' text format."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def judge(request: Request, body: JudgeRequest) -> Response:
        """Rule on games: a label for each query, in their order. A game that can't be ruled on spoils no other."""
        limit = served.settings.max_queries
        if len(body.queries) > limit:
            raise HTTPException(413, f"{len(body.queries)} queries in one request, at most {limit} are allowed")
        queries = [query.query for query in body.queries]
        rulings = await served.rulings(request, queries)
        labels = [
            label_of(wire, query.verdict, ruling, served.kind)
            for wire, query, ruling in zip(body.queries, queries, rulings, strict=True)
        ]
        return _json(LabelsReply(labels=labels))

    problems = _described(_JUDGING_PROBLEMS)
    for path in JUDGING_PATHS:
        router.post(path, operation_id=path[1:], responses={200: {"model": LabelsReply}, **problems})(judge)

    @router.post("/get_reward", responses={200: {"model": RewardReply}, **problems})
    async def get_reward(request: Request, body: RewardRequest) -> Response:
        """The assessor's rewards, as unmodified OpenRLHF asks for them; null where the judge says nothing."""
        queries = _queries_of_samples(body)
        rulings = await served.rulings(request, [query for query in queries if isinstance(query, JudgeQuery)])
        return _json(_reward_reply(queries, rulings, served.settings.failure_reward))


def _described(problems: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": text} for status, text in problems.items()}


async def _invalid(request: Request, error: Exception) -> Response:
    """422 with every field that is wrong; the texts themselves are not sent back."""
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else ()
    problems = [{name: problem[name] for name in ("loc", "msg", "type")} for problem in found[:_PROBLEMS_SHOWN]]
    return JSONResponse({"detail": problems}, 422)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    """The client learns nothing of our inside; who runs the service does, from its log."""
    return JSONResponse({"detail": "the service failed; its log says why"}, 500)


def _json(content: BaseModel, status: int = 200) -> Response:
    return Response(content.model_dump_json(), status, media_type="application/json")


_NOTE = re.compile(r"<note>\n(.*?)\n</note>", re.DOTALL)
# What a chat template puts behind a reply; upstream doesn't skip such tokens.
_CONTROL_TOKENS = re.compile(r"(?:\s*(?:<\|[^<>|\s]{1,40}\|>|</s>|<eos>|<pad>|<end_of_turn>))+\s*\Z")


class RewardRequest(BaseModel):
    """The body of ``/get_reward``: three lists of one length."""

    model_config = ConfigDict(frozen=True)

    query: list[Text] = Field(description="The prompt and the reply, as one text.")
    prompts: list[Text] = Field(description="The prompt alone.")
    labels: list[JsonValue] | None = Field(None, description="The data rows' labels; a training record tells the case.")

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        lengths = {name: len(value) for name, value in dict(self).items() if value is not None}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ValueError(f"the lists differ in length: {told}")
        return self


class RewardReply(BaseModel):
    """The reply of ``/get_reward``: rewards in the order of the queries, and the same as scores."""

    model_config = ConfigDict(frozen=True)

    rewards: list[float | None]
    scores: list[float | None]
    extra_logs: dict[str, list[float]] = Field(description="judge_failure is 1 where there is no ruling, else 0.")


def _queries_of_samples(request: RewardRequest) -> list[JudgeQuery | str]:
    """The games to rule on; where there is none in a sample, the reason."""
    labels = request.labels or [None] * len(request.query)
    rows = zip(request.query, request.prompts, labels, strict=True)
    return [_query_of(number, *row) for number, row in enumerate(rows)]


def _reward_reply(
    queries: Sequence[JudgeQuery | str], rulings: Sequence[Ruling], failure_reward: float | None
) -> RewardReply:
    """The reply, given the rulings on those of ``queries`` that are games."""
    remaining = iter(rulings)
    known = [None if isinstance(query, str) else _reward(query, next(remaining)) for query in queries]
    rewards = [failure_reward if reward is None else reward for reward in known]
    failures = [float(reward is None) for reward in known]
    return RewardReply(rewards=rewards, scores=rewards, extra_logs={"judge_failure": failures})


def _query_of(number: int, text: str, prompt: str, label: JsonValue) -> JudgeQuery | str:
    if not text.startswith(prompt):
        return "the query doesn't begin with its prompt"
    record = _record_of(label)
    note = _note_of(prompt, record)
    if note is None:
        return "the prompt holds no note between <note> and </note>, and its label tells none"
    reply = _CONTROL_TOKENS.sub("", text[len(prompt) :])
    return JudgeQuery(
        game_id=str(number),
        note=note,
        verdict=verdict_of(reply),
        pair=None if record is None else record.pair,
        data_type=None if record is None else record.data_type,
    )


def _record_of(label: JsonValue) -> TrainingRecord | None:
    if not isinstance(label, str):
        return None
    try:
        return from_line(label, TrainingRecord)
    except ValidationError:
        return None


def _note_of(prompt: str, record: TrainingRecord | None) -> str | None:
    notes = _NOTE.findall(prompt)
    if len(notes) == 1:
        return notes[0]
    return record.note if record is not None and record.note in prompt else None


def _reward(query: JudgeQuery, ruling: Ruling) -> float | None:
    if isinstance(ruling, JudgeFailure):
        return None
    is_right = query.verdict is not None and (query.verdict is Verdict.HARMFUL) == ruling.error_present
    return 1.0 if is_right else -1.0
