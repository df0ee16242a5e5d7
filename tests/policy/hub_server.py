"""A Hugging Face hub on this machine: just enough of its protocol to be asked for a model and to serve one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextlib.contextmanager
def hub_server(models: Path, gated: frozenset[str] = frozenset()) -> Iterator[str]:
    """Serve each ``models/OWNER/NAME`` as a repository; those in ``gated`` show their files and give none."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as it is there
            """Say nothing."""

        def _answer(self) -> None:
            path = self.path.split("?")[0]
            if path.startswith("/api/models/"):
                self._describe(path.removeprefix("/api/models/"))
            else:
                name, _, file = path.strip("/").partition("/resolve/")
                self._send_file(name, file.split("/", 1)[1])

        def _describe(self, path: str) -> None:
            name, _, rest = path.partition("/tree/")
            name = name.removesuffix("/revision/main")
            folder = models / name
            if not folder.is_dir():
                self._send(401, b"Repository not found", {"X-Error-Code": "RepoNotFound"})
                return
            files = sorted(file for file in folder.iterdir() if file.is_file())
            if rest:
                tree = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": etag_of(f)} for f in files]
                self._send(200, json.dumps(tree).encode())
                return
            siblings = [{"rfilename": file.name, "size": file.stat().st_size} for file in files]
            about = {"id": name, "sha": COMMIT, "siblings": siblings, "gated": name in gated, "private": False}
            self._send(200, json.dumps({**about, "downloads": 0, "likes": 0, "tags": []}).encode())

        def _send_file(self, name: str, file: str) -> None:
            path = models / name / file
            if name in gated:
                self._send(403, b"gated", {"X-Error-Code": "GatedRepo"})
            elif not path.is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            else:
                self._send(200, path.read_bytes(), {"ETag": f'"{etag_of(path)}"', "X-Repo-Commit": COMMIT})

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def etag_of(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
