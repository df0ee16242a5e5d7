"""The report of a run that goes on, served on this machine alone.

Only the loopback address is listened on, only GET is answered, and only to requests that name this machine: a page
of another site that points its own name here (DNS rebinding) reads nothing.
"""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..errors import MedicalTeamError, UsageError
from ..metrics.run_reader import RunReader
from ..network.proxies import LOOPBACK, host_of, is_loopback
from ..runs.lock import Traces
from .overview import overview
from .page_file import PAGE_END, GameArchive, data_element, page_head, script_element, table_sizes

_IDLE_SECONDS = 60


class LiveRun:
    """One run as it goes on. Its methods may be called from several threads."""

    def __init__(self, path: Path) -> None:
        """Read the run at ``path`` as far as it is.

        Raises:
            MedicalTeamError: there is no run, or its files are damaged.
        """
        self._path = path
        self._lock = threading.Lock()
        self._generation = 0
        self._start()
        self._problem: str | None = None

    @property
    def name(self) -> str:
        """Of the run."""
        return self._reader.name

    def page(self) -> str:
        """The page, which then asks for the rest."""
        with self._lock:
            data = {
                "runs": [self._overview],
                "vocabulary": self._archive.vocabulary(),
                "tables": table_sizes(self._archive.tables()),
                "live": True,
            }
        return page_head(self.name, connect="'self'") + data_element("page-data", data) + script_element() + PAGE_END

    def state(self) -> dict[str, Any]:
        """How the run stands now, and how many rows its tables have.

        ``generation`` changes when the run went back to an earlier checkpoint: then all that was read is void.
        ``problem`` says why nothing new can be read, if so.
        """
        with self._lock:
            self._refresh()
            return {
                "generation": self._generation,
                "problem": self._problem,
                "runs": [self._overview],
                "sources": self._archive.vocabulary()["sources"],
                "lengths": {name: len(table) for name, table in self._archive.tables().items()},
            }

    def rows(self, table: str, start: int) -> list[Any] | None:
        """Rows of ``table`` from number ``start`` to the end of its chunk; None for no such table."""
        with self._lock:
            found = self._archive.tables().get(table)
            return None if found is None else found.rows_from(start)

    def _start(self) -> None:
        self._traces: Traces | None = None
        self._archive = GameArchive()
        self._reader = RunReader(self._path, self._archive.add)
        self._reader.refresh()
        self._draw_up()

    def _draw_up(self) -> None:
        self._traces = self._reader.traces()
        self._overview = overview(self._reader)

    def _refresh(self) -> None:
        try:
            if self._reader.is_cut:
                self._generation += 1
                self._start()
            # While nothing happens a page that asks every other second takes no time from the training.
            elif self._reader.refresh() or self._reader.traces() != self._traces:
                self._draw_up()
            self._problem = None
        except MedicalTeamError as error:
            # The run may be mended or come back while we watch: what was read stays on show until then.
            self._problem = str(error)
            self._traces = None


def make_server(run: LiveRun, port: int) -> ThreadingHTTPServer:
    """A server of ``run`` on ``port`` of the loopback address (0: any free one), already listening.

    Raises:
        UsageError: the port can't be had.
    """

    class Handler(_Handler):
        live_run = run

    try:
        return _Server((LOOPBACK, port), Handler)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).rstrip(".")
        raise UsageError(f"--port {port} can't be had: {reason}. Name another, or 0 for any that is free.") from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    live_run: LiveRun
    server_version = "medical-team"
    sys_version = ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer one request."""
        if not self._is_for_us():
            self._send(HTTPStatus.FORBIDDEN, "text/plain", "This server answers only to 127.0.0.1 and localhost.\n")
            return
        address = urlsplit(self.path)
        if address.path == "/":
            self._send(HTTPStatus.OK, "text/html", self.live_run.page())
        elif address.path == "/state":
            self._send_json(self.live_run.state())
        elif address.path == "/rows":
            self._send_rows(parse_qs(address.query))
        else:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "There is no such page.\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Say nothing: a page asks every other second."""

    def _is_for_us(self) -> bool:
        return is_loopback(host_of(f"//{self.headers.get('Host', '')}"))

    def _send_rows(self, query: dict[str, list[str]]) -> None:
        table, start = query.get("table", [""])[0], query.get("from", [""])[0]
        rows = self.live_run.rows(table, int(start)) if start.isdecimal() and len(start) < 12 else None
        if rows is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", "There are no such rows.\n")
        else:
            self._send_json(rows)

    def _send_json(self, value: Any) -> None:
        self._send(HTTPStatus.OK, "application/json", json.dumps(value, allow_nan=False))

    def _send(self, status: HTTPStatus, content_type: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(content)
