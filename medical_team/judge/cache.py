"""What a model judge found, kept on disk: resuming a run and judging it again ask nothing twice.

The cache is addressed by content: the key is a hash of everything that a finding depends on, so an entry never goes
stale and no note is stored. The assessor's reply is no part of it: a finding is about a note, and the verdict is
compared with it by rule, so the same note with another verdict costs nothing either.

One SQLite file holds all; several processes and threads may use it at a time. It is a cache: where it can't be read or
written, judging goes on without it, and says so once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ..callbacks import Notify
from .finding import Finding

FILE = "findings.sqlite3"

_FORMAT = 1
_BUSY_SECONDS = 30.0
_KEYS_PER_QUERY = 500
_FINDING = TypeAdapter(Finding)

ResultT = TypeVar("ResultT")


def default_cache_folder() -> Path:
    """Where findings are kept unless told otherwise: under ``$XDG_CACHE_HOME``, or ``~/.cache``."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "medical-team" / "judge"


class FindingCache:
    """Findings by key.

    Args:
        folder: where the file is; made when something is to be kept.
        notify: told once when the cache can't be used.
    """

    def __init__(self, folder: Path, notify: Notify = lambda text: None) -> None:
        self.path = folder / FILE
        self._notify = notify
        self._is_usable = True

    @staticmethod
    def key(*parts: Any) -> str:
        """A hash of ``parts``: texts, numbers, None and dataclasses of them."""
        content = [_plain(part) for part in (_FORMAT, *parts)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def get_all(self, keys: Iterable[str]) -> dict[str, Finding]:
        """The findings of those ``keys`` that are known. An entry that can't be read counts as unknown."""
        wanted = list(keys)
        if not wanted or not self.path.exists():
            return {}
        return self._use(lambda connection: _read(connection, wanted), {})

    def put_all(self, findings: Mapping[str, Finding]) -> None:
        """Keep ``findings``; one that replaces an unreadable entry is kept too."""
        if findings:
            self._use(lambda connection: _write(connection, findings), None)

    def _use(self, work: Callable[[sqlite3.Connection], ResultT], otherwise: ResultT) -> ResultT:
        if not self._is_usable:
            return otherwise
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS findings (key TEXT PRIMARY KEY, finding TEXT NOT NULL)")
                return work(connection)
        except (OSError, sqlite3.Error) as error:
            self._is_usable = False
            self._notify(
                f"The judge's cache {self.path} can't be used ({error}); judging goes on without it. Name another "
                "folder in judge.cache, or delete the file."
            )
            return otherwise


def _read(connection: sqlite3.Connection, keys: list[str]) -> dict[str, Finding]:
    found: dict[str, Finding] = {}
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        for key, content in connection.execute(f"SELECT key, finding FROM findings WHERE key IN ({marks})", part):
            with contextlib.suppress(ValidationError):
                found[key] = _FINDING.validate_json(content)
    return found


def _write(connection: sqlite3.Connection, findings: Mapping[str, Finding]) -> None:
    rows = [(key, _FINDING.dump_json(finding).decode()) for key, finding in findings.items()]
    with connection:
        connection.executemany("INSERT OR REPLACE INTO findings VALUES (?, ?)", rows)


def _plain(part: Any) -> Any:
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return dataclasses.asdict(part)
    return part
