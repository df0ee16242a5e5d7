"""An OpenAI-compatible server on this machine that answers as a test scripts it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from local_server import QuietHandler, local_server, running

Answer = tuple[int, Any]
"""Status and body; bytes are sent as they are, anything else as JSON."""


@dataclass
class ScriptedServer:
    """Where the server is, and the bodies and headers that it was sent."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


def a_completion(text: str, finish_reason: str = "stop") -> Answer:
    """What a server answers when all is well."""
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}]}


def a_whole_completion(text: str, finish_reason: str = "stop") -> Answer:
    """The same with everything that a strict client expects."""
    status, answer = a_completion(text, finish_reason)
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    whole = {"id": "1", "object": "chat.completion", "created": 0, "model": "scripted", "usage": usage}
    return status, {**whole, "choices": [{"index": 0, **answer["choices"][0]}]}


@contextlib.contextmanager
def openai_server(answer: Callable[[dict[str, Any]], Answer]) -> Generator[ScriptedServer]:
    """Serve ``POST /v1/chat/completions``: ``answer`` is given each body. Other paths are a 404."""
    lock = threading.Lock()

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.bodies.append(body)
                server.headers.append(dict(self.headers))
            status, content = answer(body) if self.path == "/v1/chat/completions" else (404, {"detail": "Not Found"})
            self.answer(status, content, {"Retry-After": "0"} if status == 429 else {})

    with running(local_server(Handler)) as url:
        server = ScriptedServer(f"{url}/v1")
        yield server
