"""The cache of findings on disk, shared by processes, and never a reason to stop."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

from cache_writer import FINDING, keep

from medical_team.judge.model_judge import FILE, FindingCache
from medical_team.judge.protocol import Finding


def test_what_was_kept_is_there_in_another_object(tmp_path: Path) -> None:
    FindingCache(tmp_path / "new").put_all({"a": FINDING, "b": Finding(None, "can't tell")})
    assert FindingCache(tmp_path / "new").get_all(["b", "a", "c"]) == {"a": FINDING, "b": Finding(None, "can't tell")}


def test_nothing_is_written_by_looking(tmp_path: Path) -> None:
    assert FindingCache(tmp_path / "new").get_all(["a"]) == {}
    assert not (tmp_path / "new").exists()


def test_no_note_is_stored(tmp_path: Path) -> None:
    key = FindingCache.key("model", "A note of a patient.", None)
    FindingCache(tmp_path).put_all({key: FINDING})
    assert b"patient" not in (tmp_path / FILE).read_bytes()


def test_keys_tell_parts_apart() -> None:
    keys = [FindingCache.key(*parts) for parts in [("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", None), ("ab", None)]]
    assert len(set(keys)) == len(keys)
    assert FindingCache.key("\udcff", FINDING) == FindingCache.key("\udcff", FINDING)


def test_more_keys_than_a_statement_takes(tmp_path: Path) -> None:
    findings = {str(number): Finding(True, str(number)) for number in range(2_345)}
    cache = FindingCache(tmp_path)
    cache.put_all(findings)
    assert cache.get_all(findings) == findings


def test_several_processes_may_write_at_a_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=keep, args=(tmp_path, f"worker-{number}")) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    names = [f"{who}-{number}" for who in ("worker-0", "worker-1", "worker-2", "shared") for number in range(50)]
    assert len(FindingCache(tmp_path).get_all(names)) == 200


def test_an_entry_that_cannot_be_read_is_unknown_and_replaced(tmp_path: Path) -> None:
    cache = FindingCache(tmp_path)
    cache.put_all({"a": FINDING})
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("UPDATE findings SET finding = '{\"newer\": 1}'")
    connection.close()

    assert cache.get_all(["a"]) == {}
    cache.put_all({"a": FINDING})
    assert cache.get_all(["a"]) == {"a": FINDING}


def test_a_cache_that_cannot_be_used_is_told_once_and_done_without(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("this is no database, and long enough to be looked at by SQLite " * 20)
    told: list[str] = []
    cache = FindingCache(tmp_path, told.append)

    cache.put_all({"a": FINDING})
    assert cache.get_all(["a"]) == {}
    cache.put_all({"a": FINDING})

    (message,) = told
    assert str(tmp_path / FILE) in message
    assert "judge.cache" in message


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    FindingCache(tmp_path / "file" / "cache", told.append).put_all({"a": FINDING})
    assert len(told) == 1
