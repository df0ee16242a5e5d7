"""The paths of a judge's service and what they answer, as a FastAPI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from ... import __version__
from ...records import Ruling
from ..protocol import JudgeQuery
from ..wire import JUDGING_PATHS, JudgeRequest, LabelsReply, WireQuery, json_of, label_of
from .batching import BatchingWorker, NotNow, ServiceSettings, ServiceState
from .gate import OPEN_PATHS, Gate, ServiceMetrics, body_schema, field_error, read_body
from .upstream import RewardReply, RewardRequest, queries_of, reply_of

PATHS = (*JUDGING_PATHS, "/get_reward", "/health", "/ready", "/info", "/metrics", "/openapi.json")

_DESCRIPTION = """\
Rules on games of medical_team: does a clinical note contain a medical error, and did the assessor say so? Research
software, not for clinical use. A label with is_parsing_error is the judge's own failure or
abstention, never a reward."""

_PROBLEMS_SHOWN = 50
_CLIENT_CLOSED = 499


class Health(BaseModel):
    """Whether the judge is loaded."""

    status: str
    model: str


class Readiness(BaseModel):
    """Whether games are taken now."""

    ready: bool
    reason: str


class Limits(BaseModel):
    """What a request may hold."""

    max_queries: int
    max_body_bytes: int
    max_text_characters: int


class Info(BaseModel):
    """What serves here."""

    judge: str
    model: str
    version: str
    state: str
    waiting: int
    uptime_seconds: float
    batch_size: int
    limits: Limits


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    loc: list[str | int]
    msg: str
    type: str


class FieldProblems(BaseModel):
    """What is wrong with a request, field by field."""

    detail: list[FieldProblem]


@dataclass(frozen=True)
class ServedJudge:
    """What is told of the judge before it is loaded."""

    judge: str
    """Its kind, e.g. ``reference``."""
    model: str
    """Its model; its kind where it has none."""


class ServiceStatus:
    """What changes while the service runs."""

    def __init__(self) -> None:
        self.is_draining = False
        self.started = time.monotonic()


def make_app(
    worker: BatchingWorker,
    settings: ServiceSettings,
    metrics: ServiceMetrics,
    served: ServedJudge,
    *,
    token: str | None = None,
    status: ServiceStatus | None = None,
) -> ASGIApp:
    """The application around ``worker``, which somebody else starts and closes."""
    status = status or ServiceStatus()
    app = FastAPI(title="medical_team judge", version=__version__, docs_url=None, redoc_url=None)
    _add_status_paths(app, worker, settings, metrics, served, status)
    _add_judging_paths(app, worker, settings, served)
    _describe(app, has_token=token is not None)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    metrics.watch(lambda: worker.waiting, lambda: _readiness(worker, status).ready)
    return Gate(app, settings, metrics, PATHS, token)


def _add_status_paths(
    app: FastAPI,
    worker: BatchingWorker,
    settings: ServiceSettings,
    metrics: ServiceMetrics,
    served: ServedJudge,
    status: ServiceStatus,
) -> None:
    @app.get("/health", responses={200: {"model": Health}, 503: {"model": Health, "description": "Loading"}})
    async def health() -> Response:  # pyright: ignore[reportUnusedFunction] - FastAPI keeps it
        """Whether the judge is loaded: 503 until it is."""
        is_healthy = worker.state is ServiceState.HEALTHY
        return _json(Health(status=worker.state.value, model=served.model), 200 if is_healthy else 503)

    @app.get("/ready", responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "Not now"}})
    async def ready() -> Response:  # pyright: ignore[reportUnusedFunction]
        """Whether games are taken now: 503 while loading, overloaded or draining."""
        readiness = _readiness(worker, status)
        return _json(readiness, 200 if readiness.ready else 503)

    @app.get("/info", responses={200: {"model": Info}})
    async def info() -> Response:  # pyright: ignore[reportUnusedFunction]
        """What serves here, and its limits."""
        limits = Limits(
            max_queries=settings.max_queries,
            max_body_bytes=settings.max_body_bytes,
            max_text_characters=settings.max_text_characters,
        )
        return _json(
            Info(
                judge=served.judge,
                model=served.model,
                version=__version__,
                state=worker.state.value,
                waiting=worker.waiting,
                uptime_seconds=time.monotonic() - status.started,
                batch_size=settings.batch_size,
                limits=limits,
            )
        )

    @app.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})
    async def exposition() -> Response:  # pyright: ignore[reportUnusedFunction]
        """Counters in Prometheus' text format."""
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_judging_paths(app: FastAPI, worker: BatchingWorker, settings: ServiceSettings, served: ServedJudge) -> None:
    async def judge(request: Request) -> Response:
        """Rule on games: a label for each query, in their order. A game that can't be ruled on spoils no other."""
        body = await read_body(request, JudgeRequest)
        texts = [(("queries", index), query) for index, query in enumerate(body.queries)]
        _check_sizes(
            len(body.queries),
            [((*where, name), text) for where, query in texts for name, text in _texts(query)],
            settings,
        )
        queries = [query.query for query in body.queries]
        rulings = await _rulings(request, worker, queries)
        labels = [
            label_of(wire, query.verdict, ruling, served.judge)
            for wire, query, ruling in zip(body.queries, queries, rulings, strict=True)
        ]
        return Response(json_of(LabelsReply(labels)), media_type="application/json")

    for path in JUDGING_PATHS:
        schema = body_schema(JudgeRequest)
        app.post(path, operation_id=path[1:], responses={200: {"model": LabelsReply}}, openapi_extra=schema)(judge)

    @app.post("/get_reward", responses={200: {"model": RewardReply}}, openapi_extra=body_schema(RewardRequest))
    async def get_reward(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """The assessor's rewards, as unmodified OpenRLHF asks for them; null where the judge says nothing."""
        body = await read_body(request, RewardRequest)
        if body.length_problem is not None:
            raise field_error(("query",), body.length_problem, "list_length")
        columns = (("query", body.query), ("prompts", body.prompts))
        texts = [((name, index), text) for name, column in columns for index, text in enumerate(column)]
        _check_sizes(len(body.query), texts, settings)
        queries = queries_of(body)
        rulings = await _rulings(request, worker, [query for query in queries if isinstance(query, JudgeQuery)])
        return _json(reply_of(queries, rulings, settings.failure_reward))


async def _rulings(request: Request, worker: BatchingWorker, queries: Sequence[JudgeQuery]) -> list[Ruling]:
    """The worker's rulings. When the client goes away, its games leave the queue."""
    try:
        answer = asyncio.wrap_future(worker.submit(queries))
    except NotNow as refusal:
        status = 429 if refusal.is_overload else 503
        retry = {"Retry-After": str(refusal.retry_seconds)}
        raise HTTPException(status, refusal.reason, retry) from refusal
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


def _texts(query: WireQuery) -> list[tuple[str, str]]:
    texts = [("prompt", query.prompt), ("response", query.response)]
    if query.pair is not None:
        texts += [("pair", text) for text in (query.pair.error_note, query.pair.corrected_note)]
    return texts


def _check_sizes(queries: int, texts: Sequence[tuple[tuple[str | int, ...], str]], settings: ServiceSettings) -> None:
    if queries > settings.max_queries:
        raise HTTPException(413, f"{queries} queries in one request, at most {settings.max_queries} are allowed")
    limit = settings.max_text_characters
    for where, text in texts:
        if len(text) > limit:
            message = f"the text has {len(text)} characters, at most {limit} are allowed"
            raise field_error(where, message, "string_too_long")


async def _invalid(request: Request, error: Exception) -> Response:
    """422 with every field that is wrong; the texts themselves are not sent back."""
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else ()
    problems = [
        FieldProblem(loc=[*problem["loc"]], msg=problem["msg"], type=problem["type"])
        for problem in found[:_PROBLEMS_SHOWN]
    ]
    return _json(FieldProblems(detail=problems), 422)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


def _readiness(worker: BatchingWorker, status: ServiceStatus) -> Readiness:
    if worker.state is not ServiceState.HEALTHY:
        return Readiness(ready=False, reason=worker.state.value)
    if status.is_draining:
        return Readiness(ready=False, reason="draining")
    if worker.is_full:
        return Readiness(ready=False, reason="overloaded")
    return Readiness(ready=True, reason="")


def _json(content: BaseModel, status: int = 200) -> Response:
    return Response(content.model_dump_json(), status, media_type="application/json")


def _describe(app: FastAPI, *, has_token: bool) -> None:
    """Complete the OpenAPI document with what the gate answers."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, has_token=has_token)
        return app.openapi_schema

    app.openapi = document


_JUDGING_PROBLEMS = {
    400: "The body is no JSON, or the client went away",
    408: "The request took too long to arrive",
    413: "Too many queries or too large a body",
    415: "The body is packed",
    429: "Too many games wait; Retry-After says when to come back",
    500: "The service failed",
    503: "The judge is not loaded; Retry-After says when to come back",
}


def _document(app: FastAPI, *, has_token: bool) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    schemas = document["components"]["schemas"]
    described = (Problem, FieldProblems, JudgeRequest, RewardRequest)
    _, definitions = models_json_schema(
        [(model, "validation") for model in described], ref_template="#/components/schemas/{model}"
    )
    schemas |= definitions["$defs"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            problems = dict(_JUDGING_PROBLEMS) if method == "post" else {}
            if has_token and path not in OPEN_PATHS:
                problems[401] = "The bearer token is missing or wrong"
                operation["security"] = [{"bearer": []}]
            for code, text in problems.items():
                operation["responses"][str(code)] = _problem_response(text, "Problem")
            if method == "post":
                operation["responses"]["422"] = _problem_response("A field is wrong", "FieldProblems")
    if has_token:
        document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    return document


def _problem_response(description: str, model: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{model}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}
