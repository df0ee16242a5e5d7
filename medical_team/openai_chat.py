"""Asking an OpenAI-compatible server (vLLM, SGLang, llama.cpp, a vendor): chat completions, many at a time.

A reply is data, also one that makes no sense. What stops every request alike (a wrong address, token or model name, a
server that stays away) is an :class:`.errors.EndpointError`: no guess may take the place of an answer.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from .callbacks import Notify
from .errors import EndpointError
from .network.clients import make_client, server_base, whole_answer
from .network.secrets import bearer_token
from .text_repair import whole_text

MAX_REPLY_BYTES = 16 * 1024 * 1024
MAX_WAIT_SECONDS = 30.0

_PATH = "/chat/completions"
_MOST_DOUBLINGS = 16
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_CUT_OFF = "Could not finish the message because max_tokens or model output limit was reached"
"""What OpenAI says, with status 400, where a model has used up its tokens for thinking."""
_TELLING = ("finish_reason", "refusal", "reasoning_content", "reasoning")
_TOO_LONG = ("context length", "context_length", "maximum context", "too long", "max_model_len", "too many tokens")


@dataclass(frozen=True)
class ChatRequest:
    """One user message, and how it is answered."""

    prompt: str
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further fields of the request's body, for example ``response_format`` or ``logprobs``."""


@dataclass(frozen=True)
class ChatReply:
    """The first choice of the server's answer."""

    text: str
    is_finished: bool
    """Whether the reply ended by itself, not at the token limit."""
    choice: Mapping[str, Any]
    """The choice as the server sent it, for example with ``logprobs``."""


@dataclass(frozen=True)
class ChatRefusal:
    """This one request can't be answered, for example because its prompt is too long. Others can."""

    reason: str


class ChatClient:
    """A server's chat completions.

    Args:
        base_url: up to and including the version, e.g. ``http://127.0.0.1:8000/v1``.
        model: the server's name of the model.
        token_variable: the environment variable with the bearer token; unset or empty: no token is sent.
        concurrency: requests at a time.
        timeout_seconds: longest wait for one answer.
        patience_seconds: how long a server that is away or overloaded is waited for.
        notify: told, once, when the server is waited for.

    Raises:
        EndpointError: ``base_url`` is no address, the token can't be one, or the proxy of the environment for the
            address can't be used.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        token_variable: str | None = None,
        concurrency: int = 16,
        timeout_seconds: float = 120.0,
        patience_seconds: float = 600.0,
        notify: Notify = lambda text: None,
    ) -> None:
        base = server_base(base_url, _PATH)
        self._url = f"{base}{_PATH}"
        self._model = model
        self._concurrency = concurrency
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds
        self._notify = notify
        self._told: set[str] = set()
        self._limit_option = "max_tokens"
        self._takes_temperature = True
        self._is_stopped = threading.Event()
        token = bearer_token(token_variable) if token_variable else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._token_variable = token_variable
        self._client = make_client(base, headers=headers, timeout=timeout_seconds, max_connections=concurrency)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatReply | ChatRefusal]:
        """A reply for each request, in order; none for none.

        Raises:
            EndpointError: the server can't be reached, refuses, or answers something else than chat completions.
        """
        self._is_stopped.clear()
        with ThreadPoolExecutor(max_workers=self._concurrency) as pool:
            futures = [pool.submit(self._complete, request, self._patience_seconds) for request in requests]
            try:
                return [future.result() for future in futures]
            except BaseException:
                self._is_stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def complete_each(self, requests: Sequence[ChatRequest]) -> list[ChatReply | ChatRefusal]:
        """:meth:`complete` without patience: what would stop it refuses one request alone."""

        def completed(request: ChatRequest) -> ChatReply | ChatRefusal:
            try:
                return self._complete(request, 0.0)
            except EndpointError as error:
                return ChatRefusal(str(error))

        with ThreadPoolExecutor(max_workers=self._concurrency) as pool:
            return list(pool.map(completed, requests))

    def _complete(self, request: ChatRequest, patience_seconds: float) -> ChatReply | ChatRefusal:
        started = time.monotonic()
        attempt = 0
        while True:
            body = self._body(request)
            try:
                status, headers, content = whole_answer(
                    self._client, _PATH, seconds=self._timeout_seconds, most_bytes=MAX_REPLY_BYTES, json=body
                )
            except httpx.RequestError as error:
                problem, wait = f"{type(error).__name__}: {error}{_tls_advice(str(error))}", None
            else:
                if status == 400 and self._learns_from(content, body):
                    continue
                if status not in _RETRIED:
                    return self._answer(status, headers, content)
                problem, wait = f"status {status}: {_message(content)}", headers.get("retry-after")
            seconds = _seconds(wait, attempt)
            if time.monotonic() - started + seconds > patience_seconds:
                raise EndpointError(
                    f"{self._url} can't be asked ({problem}); it was waited for {patience_seconds:g} seconds. "
                    "Is the server running?"
                )
            self._notify_once(f"Waiting for {self._url} ({problem}) ...")
            if self._is_stopped.wait(seconds):
                raise EndpointError(f"{self._url} was not asked again, because another request failed")
            attempt += 1

    def _body(self, request: ChatRequest) -> dict[str, object]:
        return {
            "model": self._model,
            "messages": [{"role": "user", "content": whole_text(request.prompt)}],
            self._limit_option: request.max_tokens,
            **({"temperature": request.temperature} if self._takes_temperature else {}),
            **({} if request.seed is None else {"seed": request.seed}),
            **request.options,
        }

    def _learns_from(self, content: bytes, body: Mapping[str, object]) -> bool:
        """Whether the server refused an option of ``body``, as newer OpenAI models do. Later requests go without it."""
        message = _message(content)
        if "max_tokens" in body and "max_completion_tokens" in message:
            self._limit_option = "max_completion_tokens"
            return True
        if "temperature" in body and "temperature" in message and "support" in message:
            self._takes_temperature = False
            self._notify_once(
                f"{self._url} refuses temperature {body['temperature']} ({message}). None is sent: the server's own "
                "holds, so replies are drawn at random and differ from call to call."
            )
            return True
        return False

    def _notify_once(self, text: str) -> None:
        kind = text.partition("(")[0]
        if kind not in self._told:
            self._told.add(kind)
            self._notify(text)

    def _answer(self, status: int, headers: httpx.Headers, content: bytes) -> ChatReply | ChatRefusal:
        message = _message(content)
        if status == 400 and _CUT_OFF in message:
            return self._explained(ChatReply("", False, {}))
        if status in (400, 413, 422) and any(sign in message.lower() for sign in _TOO_LONG):
            return ChatRefusal(f"the server says: {message}")
        if status in (401, 403):
            where = f" the environment variable {self._token_variable}" if self._token_variable else ""
            raise EndpointError(
                f"{self._url} refuses the token (status {status}: {message}). Set{where or ' a token'}."
            )
        if status == 404:
            raise EndpointError(
                f"{self._url} has no model {self._model!r}, or is no chat completions address (status 404: {message}). "
                "Give the base of the API, e.g. http://127.0.0.1:8000/v1, and the server's own name of the model."
            )
        if 300 <= status < 400:
            elsewhere = f" to {headers['location'][:200]!a}" if "location" in headers else ""
            raise EndpointError(
                f"{self._url} sends its callers on{elsewhere} (status {status}), where no note is sent unasked. "
                "Give the address itself."
            )
        if status != 200:
            raise EndpointError(f"{self._url} refuses the request (status {status}: {message}).")
        return self._explained(_reply(content, self._url))

    def _explained(self, reply: ChatReply) -> ChatReply:
        """``reply``; why nobody can read it is told once."""
        if advice := _advice(reply):
            self._notify_once(f"{self._url} {advice}")
        return reply


def _tls_advice(problem: str) -> str:
    """What to do where a secure connection was not made."""
    if "WRONG_VERSION_NUMBER" in problem or "record layer failure" in problem:
        return "; does the server speak plain http://?"
    if "CERTIFICATE_VERIFY_FAILED" in problem:
        return "; SSL_CERT_FILE can name a file with the certificate of who signed the server's"
    return ""


def _reply(content: bytes, url: str) -> ChatReply:
    try:
        choice = json.loads(content)["choices"][0]
        message = choice["message"]
        # Servers that part the thinking from the answer leave the text empty when only thinking was done.
        text = _text_of(message.get("content") or "")
        finish_reason = choice.get("finish_reason")
        if not isinstance(text, str):
            raise TypeError("content is no text")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EndpointError(
            f"{url} doesn't answer with chat completions ({type(error).__name__}: {error}; it said "
            f"{content[:100]!r}). Give the base of an OpenAI-compatible API."
        ) from error
    return ChatReply(whole_text(text), finish_reason != "length", cast("Mapping[str, Any]", choice))


def _text_of(content: Any) -> Any:
    """The text of a message that a server cut into parts; anything else as it is."""
    if not isinstance(content, list):
        return content
    parts = cast("list[dict[str, Any]]", content)
    return "".join(part["text"] for part in parts if part["type"] == "text")


def _advice(reply: ChatReply) -> str | None:
    """What to do where a reply holds no answer, or a model's thinking stands in its way."""
    remedy = (
        "Start the server with the parser for its model's thinking (vLLM: --reasoning-parser), switch the thinking "
        "off, or raise the limit on tokens (eval medec: --max-tokens)"
    )
    if reply.text.lstrip().startswith("<think>") or "</think>" in reply.text:
        return f"sends its model's thinking as a part of the reply, which may make it unreadable. {remedy}."
    if reply.text:
        return None
    if not reply.is_finished:
        return f"sends empty replies that end at the limit on tokens: the model thinks longer. {remedy}."
    message: Mapping[str, Any] = reply.choice.get("message") or {}
    told = {name: value for name, value in {**message, **reply.choice}.items() if name in _TELLING and value}
    return (
        f"sends empty replies ({json.dumps(told)[:200]}): the model only thinks, refuses or ends at once, or a filter "
        f"stops it. {remedy}. Else take another model, or look at its chat template."
    )


def _message(content: bytes) -> str:
    """What a server says of an error, shortened."""
    try:
        body: Any = json.loads(content)
        while isinstance(body, dict):
            fields = cast("dict[str, Any]", body)
            body = fields.get("error") or fields.get("message") or fields.get("detail") or ""
        text = str(body)
    except (ValueError, RecursionError):
        text = content.decode("utf-8", "replace")
    return " ".join(text.split())[:300]


def _seconds(retry_after: str | None, attempt: int) -> float:
    """How long to wait: as long as the server says, else longer each time."""
    # A server that says "at once" and fails again would be asked without a pause.
    if retry_after and retry_after.isdecimal() and int(retry_after) > 0:
        return min(MAX_WAIT_SECONDS, int(retry_after))
    # Jitter, so that requests that failed together don't come back together.
    return min(MAX_WAIT_SECONDS, 0.5 * 2 ** min(attempt, _MOST_DOUBLINGS)) * random.uniform(0.5, 1.0)
