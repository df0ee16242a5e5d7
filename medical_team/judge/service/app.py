"""The paths of a judge's service and what they answer, as a FastAPI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from ... import __version__
from ...records import Ruling
from ..gathering import GatheringJudge
from ..protocol import JudgeQuery
from ..wire import JUDGING_PATHS, JudgeRequest, LabelsReply, label_of
from . import ServiceSettings
from .gate import Gate, ServiceMetrics
from .upstream import RewardReply, RewardRequest, queries_of, reply_of

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
    async def health() -> Response:  # pyright: ignore[reportUnusedFunction] - FastAPI keeps it
        """Whether the judge is loaded: 503 until it is."""
        return _json(Health(status=served.state, model=served.model), 200 if served.judge else 503)

    @router.get("/ready", responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "Not now"}})
    async def ready() -> Response:  # pyright: ignore[reportUnusedFunction]
        """Whether games are taken now: 503 while loading or overloaded."""
        readiness = served.readiness
        return _json(readiness, 200 if readiness.ready else 503)


def _add_other_paths(router: APIRouter, served: Served, metrics: ServiceMetrics) -> None:
    @router.get("/info", responses={200: {"model": Info}})
    async def info() -> Response:  # pyright: ignore[reportUnusedFunction]
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
    async def exposition() -> Response:  # pyright: ignore[reportUnusedFunction]
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
    async def get_reward(  # pyright: ignore[reportUnusedFunction]
        request: Request, body: RewardRequest
    ) -> Response:
        """The assessor's rewards, as unmodified OpenRLHF asks for them; null where the judge says nothing."""
        queries = queries_of(body)
        rulings = await served.rulings(request, [query for query in queries if isinstance(query, JudgeQuery)])
        return _json(reply_of(queries, rulings, served.settings.failure_reward))


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
