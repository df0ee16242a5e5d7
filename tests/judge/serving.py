"""A judge's service, really listening, in a thread of the test; and judges that do as they are told."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import httpx

from medical_team.judge.protocol import Judge, JudgeQuery
from medical_team.judge.service import ServiceSettings
from medical_team.judge.service.app import Served
from medical_team.judge.service.server import JudgeService, bound_socket
from medical_team.records import JudgeFailure, Labels, Ruling, Verdict


class WordJudge:
    """Says that a note has an error if it holds the word, and remembers what it was asked at once.

    While ``gate`` is not set it holds every answer back. At a note with "crash" it raises, of one with "unclear" it can
    not tell, one with "skip" it leaves out.
    """

    name = "word"

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[list[str]] = []

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        self.batches.append([query.note for query in queries])
        self.gate.wait()
        if any("crash" in query.note for query in queries):
            raise RuntimeError("the judge tripped")
        return {query.game_id: self._ruling(query) for query in queries if "skip" not in query.note}

    def _ruling(self, query: JudgeQuery) -> Ruling:
        if "unclear" in query.note:
            return JudgeFailure(query.game_id, is_abstention=True, source=self.name, reason="can't tell")
        detected = None if query.verdict is None else query.verdict is Verdict.HARMFUL
        return Labels(query.game_id, "error" in query.note, detected, source=self.name, reason=query.note)


@contextlib.contextmanager
def serving(
    judge: Judge | Callable[[], Judge], *, token: str | None = None, wait: bool = True, **settings: Any
) -> Generator[httpx.Client]:
    """A client of a service around ``judge``; given a function, that is how the judge is loaded."""
    load = judge if callable(judge) else lambda: judge
    served = Served("word", "some/model", ServiceSettings(**settings))
    service = JudgeService(load, served, bound_socket("127.0.0.1", 0), token=token)
    thread = threading.Thread(target=service.run, daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=service.url, trust_env=False, timeout=60) as client:
            while wait and client.get("/health").status_code != 200:
                time.sleep(0.01)
            yield client
    finally:
        service.stop()
        thread.join()


def query(note: str, response: str = "Safe", index: int | str = 0) -> dict[str, object]:
    return {"game_idx": index, "prompt": note, "response": response}


def judged(client: httpx.Client, *notes: str, path: str = "/judge") -> list[dict[str, Any]]:
    """The labels of ``notes``."""
    response = client.post(path, json={"queries": [query(note, index=index) for index, note in enumerate(notes)]})
    assert response.status_code == 200, response.text
    return response.json()["labels"]


def wait_until_listening(process: subprocess.Popen[bytes], url: str) -> None:
    """Wait until the server that is ``process`` answers at ``url``."""
    while not _is_listening(url):
        assert process.poll() is None
        time.sleep(0.2)


def _is_listening(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
