"""An OpenAI-compatible server on this machine that answers as a test scripts it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]
"""Status and body; bytes are sent as they are, anything else as JSON."""


@dataclass
class ScriptedServer:
    """Where the server is, and the bodies and headers that it was sent."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


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
def openai_server(answer: Callable[[dict[str, Any]], Answer]) -> Iterator[ScriptedServer]:
    """Serve ``POST /v1/chat/completions``: ``answer`` is given each body. Other paths are a 404."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.bodies.append(body)
                server.headers.append(dict(self.headers))
            status, content = answer(body) if self.path == "/v1/chat/completions" else (404, {"detail": "Not Found"})
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as it is there
            """Say nothing."""

    http_server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = ScriptedServer(f"http://127.0.0.1:{http_server.server_address[1]}/v1")
    thread = threading.Thread(target=http_server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http_server.shutdown()
        http_server.server_close()
        thread.join()
