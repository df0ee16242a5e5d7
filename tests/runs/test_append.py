from pathlib import Path

import pytest

from medical_team.errors import DataError
from medical_team.runs.append import LineTail
from medical_team.runs.folder import StepMetrics


def line(step: int) -> str:
    return f'{{"step": {step}, "values": {{}}}}\n'


def steps_of(tail: LineTail):
    return [metrics.step for metrics in tail.read(StepMetrics)]


def test_each_line_comes_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = LineTail(path)
    assert steps_of(tail) == []

    path.write_text(line(0) + line(1))
    assert steps_of(tail) == [0, 1]
    assert steps_of(tail) == []

    with path.open("a") as file:
        file.write(line(2))
    assert steps_of(tail) == [2]
    assert not tail.is_cut


def test_a_half_written_line_waits_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(0) + line(1)[:7])
    tail = LineTail(path)

    assert steps_of(tail) == [0]
    assert tail.has_half_line

    path.write_text(line(0) + line(1))
    assert steps_of(tail) == [1]
    assert not tail.has_half_line


def test_a_file_that_was_cut_back_is_noticed_even_when_it_grew_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(0) + line(1) + line(2))
    tail = LineTail(path)
    steps_of(tail)

    path.write_text(line(0) + '{"step": 1, "values": {"a": 1.0}}\n' * 9)
    assert tail.is_cut

    path.unlink()
    assert tail.is_cut


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(0) + "\n" + "{]\n")

    tail = LineTail(path)
    for _ in range(2):
        with pytest.raises(DataError, match=r"damaged:\n  - line 3"):
            steps_of(tail)
