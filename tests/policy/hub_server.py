"""A Hugging Face hub on this machine: just enough of its protocol to be asked for a model and to serve one."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator
from pathlib import Path

from local_server import QuietHandler, local_server, running

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextlib.contextmanager
def hub_server(models: Path, gated: frozenset[str] = frozenset()) -> Generator[str]:
    """Serve each ``models/OWNER/NAME`` as a repository; those in ``gated`` show their files and give none."""

    class Handler(QuietHandler):
        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

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
                self.answer(401, b"Repository not found", {"X-Error-Code": "RepoNotFound"})
                return
            files = sorted(file for file in folder.iterdir() if file.is_file())
            if rest:
                tree = [{"type": "file", "path": f.name, "size": f.stat().st_size, "oid": etag_of(f)} for f in files]
                self.answer(200, tree)
                return
            siblings = [{"rfilename": file.name, "size": file.stat().st_size} for file in files]
            about = {"id": name, "sha": COMMIT, "siblings": siblings, "gated": name in gated, "private": False}
            self.answer(200, {**about, "downloads": 0, "likes": 0, "tags": []})

        def _send_file(self, name: str, file: str) -> None:
            path = models / name / file
            if name in gated:
                self.answer(403, b"gated", {"X-Error-Code": "GatedRepo"})
            elif not path.is_file():
                self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            else:
                self.answer(200, path.read_bytes(), {"ETag": f'"{etag_of(path)}"', "X-Repo-Commit": COMMIT})

    with running(local_server(Handler)) as url:
        yield url


def etag_of(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
