import json
from dataclasses import replace
from pathlib import Path

import pytest

from builders import a_game
from medical_team.errors import DataError
from medical_team.jsonl import from_line, read_jsonl, to_line, write_jsonl
from medical_team.records import ErrorType, Game, NotePair, Source

PAIR = NotePair("c1", "g1", Source.MEDEC, ErrorType.CAUSAL_ORGANISM, "µ error", "µ right", "error", "right")


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "pairs.jsonl"

    assert write_jsonl(path, [PAIR, PAIR]) == 2

    assert read_jsonl(path, NotePair) == [PAIR, PAIR]
    assert "µ" in path.read_text(encoding="utf-8")


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    good = to_line(PAIR)
    lines = [good, good[:40], good.replace('"causalOrganism"', "7"), "", good.replace('"error_note"', '"note"')]
    path.write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(DataError) as caught:
        read_jsonl(path, NotePair)

    problems = "\n".join(caught.value.problems)
    assert "line 2: Invalid JSON" in problems
    assert "line 3: error_type" in problems
    assert "line 5: error_note: Field required" in problems
    assert "line 5: note" in problems
    assert "line 1:" not in problems


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_jsonl(tmp_path / "absent.jsonl", NotePair)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_jsonl(path, [PAIR])

    def records():
        yield PAIR
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        write_jsonl(path, records())

    assert read_jsonl(path, NotePair) == [PAIR]
    assert [entry.name for entry in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(to_line(PAIR) + "\n", encoding="utf-8-sig")

    assert read_jsonl(path, NotePair) == [PAIR]


def test_a_file_in_utf16_is_told_once_and_not_for_each_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(f"{to_line(PAIR)}\n{to_line(PAIR)}\n", encoding="utf-16")

    with pytest.raises(DataError) as refused:
        read_jsonl(path, NotePair)

    assert list(refused.value.problems) == ["it is UTF-16, as PowerShell writes it: save it as UTF-8"]


def test_a_field_that_may_be_left_out_is_left_out_only_where_it_is_empty() -> None:
    game = a_game()

    assert "location" not in json.loads(to_line(game))
    assert json.loads(to_line(replace(game, location=0)))["location"] == 0
    assert from_line(to_line(replace(game, location=0)), Game).location == 0
