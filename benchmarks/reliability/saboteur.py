"""Stands between a trainer and a judge's service, and spoils some of the answers; each time it says how."""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
SLOW_SECONDS = 2.5
"""Longer than the trainer waits."""

CHANGES: dict[str, Callable[[Answer], Any]] = {
    "no labels": lambda answer: {"labels": []},
    "a label is missing": lambda answer: {"labels": answer["labels"][1:]},
    "numbers of other games": lambda answer: {
        "labels": [{**label, "game_idx": label["game_idx"] + 10_000} for label in answer["labels"]]
    },
    "each label twice, with two rulings": lambda answer: {
        "labels": [
            *answer["labels"],
            *({**label, "error_present": not label.get("error_present")} for label in answer["labels"]),
        ]
    },
    "another verdict": lambda answer: {
        "labels": [{**label, "error_detected": not label.get("error_detected")} for label in answer["labels"]]
    },
    "words for truths": lambda answer: {
        "labels": [{**label, "error_present": "maybe", "error_detected": 0.5} for label in answer["labels"]]
    },
    "another form": lambda answer: [answer],
}
STATUSES = (500, 502, 503, 429, 408, 404, 422)
FAULTS = (*CHANGES, *(f"status {status}" for status in STATUSES), "garbage", "truncated", "reset", "slow")


class Saboteur(ThreadingHTTPServer):
    """Passes requests on to the service at ``port``; every second answer is spoiled, by numbers from ``chance``.

    Args:
        begins_with: nothing is spoiled before this file is there, so that a run begins at all.
    """

    daemon_threads = True

    def __init__(self, port: int, chance: random.Random, record: Path, begins_with: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.service_port = port
        self._chance = chance
        self._record = record
        self._begins_with = begins_with

    def next_fault(self) -> str | None:
        """What goes wrong with the next answer; it is on record before it happens."""
        if not self._begins_with.exists() or self._chance.random() < 0.5:
            return None
        fault = self._chance.choice(FAULTS)
        with self._record.open("a", encoding="utf-8") as file:
            file.write(f"{fault}\n")
        return fault

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: connections break, that is the point."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Saboteur  # pyright: ignore[reportIncompatibleVariableOverride] - its own server's class

    def do_GET(self) -> None:
        self._send(*self._passed_on(b""))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self._passed_on(body)
        fault = self.server.next_fault() if status == 200 else None
        if fault is None:
            self._send(status, answer)
        elif fault in CHANGES:
            self._send(200, json.dumps(CHANGES[fault](json.loads(answer))).encode())
        elif fault.startswith("status"):
            self._send(int(fault.split()[1]), b"{}")
        elif fault == "garbage":
            self._send(200, b"<html>Sign in to the guest network</html>")
        elif fault == "slow":
            time.sleep(SLOW_SECONDS)
            self._send(status, answer)
        else:
            if fault == "truncated":
                self._send(200, answer[: len(answer) // 2], length=len(answer))
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    def _passed_on(self, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.service_port, timeout=10)
        try:
            connection.request(self.command, self.path, body or None, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 502, b"{}"
        finally:
            connection.close()

    def _send(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""
