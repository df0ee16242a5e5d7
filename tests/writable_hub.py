"""A hub on this machine that can be sent to: repositories in memory, and what was sent to them."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from local_server import QuietHandler, local_server, running


@dataclass
class Hub:
    """Where it is, and what it holds."""

    url: str
    private: dict[str, bool] = field(default_factory=dict[str, bool])
    """Whether each repository is private."""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict[str, dict[str, bytes]])
    """The files of each repository, by their names."""
    status: int = 200
    """What it answers to a commit."""


@contextlib.contextmanager
def writable_hub() -> Generator[Hub]:
    """Serve what sending a folder of small files asks for; anything else is a 404."""

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = "/".join(self.path.partition("?")[0].split("/")[3:5])
            if name not in hub.private:
                self.answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
                return
            self.answer(200, {"id": name, "private": hub.private[name], "siblings": [], "sha": "0" * 40})

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = self.path.partition("?")[0].split("/")
            if self.path == "/api/repos/create":
                asked = json.loads(content)
                name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
                hub.private.setdefault(name, _is_private(asked))
                self.answer(200, {"url": f"{hub.url}/{name}", "id": name})
            elif self.path == "/api/validate-yaml":
                self.answer(200, {"errors": [], "warnings": []})
            elif "preupload" in parts:
                files = [
                    {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for each in json.loads(content)["files"]
                ]
                self.answer(200, {"files": files})
            elif "commit" in parts:
                self._commit("/".join(parts[3:5]), content)
            else:
                self.answer(404, {"error": self.path})

        def _commit(self, name: str, content: bytes) -> None:
            if hub.status != 200:
                self.answer(hub.status, {"error": "no"})
                return
            for line in map(json.loads, content.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    hub.files.setdefault(name, {})[value["path"]] = base64.b64decode(value["content"])
            commit = {"commitUrl": f"{hub.url}/{name}/commit/1", "commitOid": "1" * 40, "success": True}
            self.answer(200, {**commit, "hookOutput": ""})

    with running(local_server(Handler)) as url:
        hub = Hub(url)
        yield hub


def _is_private(asked: dict[str, Any]) -> bool:
    return asked.get("private") is True or asked.get("visibility") == "private"
