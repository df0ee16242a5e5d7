"""The data set that OpenRLHF reads, and the count that says which game is played."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from builders import a_record
from medical_team.engines.openrlhf.dataset import (
    HeldoutTicket,
    TrainingTicket,
    read_label,
    resume_at,
    write_prompt_dataset,
)
from medical_team.engines.openrlhf.game_files import GameCount, Place
from medical_team.errors import DataError, UsageError
from medical_team.jsonl import to_line
from medical_team.records import DataType
from openrlhf_rollouts import a_run, rows_of

HELDOUT = [a_record(kind, near_duplicate_group="h") for kind in (DataType.VANILLA_HARMFUL, DataType.VANILLA_BENIGN)]


def test_there_is_a_row_for_each_game_of_the_run_and_each_held_out_note(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", steps=3, games_per_step=4, heldout=HELDOUT)

    assert [read_label(row.label) for row in rows_of(run)] == [TrainingTicket("training")] * 12
    heldout = rows_of(run, "heldout")
    assert [read_label(row.label) for row in heldout] == [HeldoutTicket("heldout", 0), HeldoutTicket("heldout", 1)]
    assert {row.datasource for row in heldout} == {"heldout"}
    assert len({row.input for row in heldout}) == 2


def test_writing_it_again_changes_nothing(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", heldout=HELDOUT)
    GameCount(run.path / "engine").take()
    before = {path.name: path.read_bytes() for path in (run.path / "engine").iterdir()}

    assert write_prompt_dataset(run) == run.path / "engine" / "prompts.jsonl"

    assert {path.name: path.read_bytes() for path in (run.path / "engine").iterdir()} == before


def test_a_record_is_a_label_too() -> None:
    assert read_label(to_line(a_record())) == a_record()


@pytest.mark.parametrize("label", ["", "42", "{}", '{"purpose": "training", "more": 1}', '{"purpose": "heldout"}'])
def test_other_labels_are_refused(label: str) -> None:
    with pytest.raises(UsageError, match=r"engine/prompts\.jsonl"):
        read_label(label)


def _take(folder: Path, count: int, results: Any) -> None:
    results.extend([GameCount(folder).take().number for _ in range(count)])


def test_processes_share_the_count(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        results = manager.list()
        processes = [context.Process(target=_take, args=(tmp_path, 25, results)) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

        assert sorted(results) == list(range(75))


def test_a_resume_counts_on_from_its_step(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", games_per_step=4)
    count = GameCount(run.path / "engine")
    assert [count.take() for _ in range(2)] == [Place(0, 0), Place(0, 1)]

    resume_at(run, 3)

    assert count.take() == Place(1, 12)
    attempts = count.attempts()
    assert attempts.is_superseded(0, 3)
    assert not attempts.is_superseded(0, 2)
    assert not attempts.is_superseded(1, 3)


def test_a_damaged_count_is_named(tmp_path: Path) -> None:
    (tmp_path / "count.json").write_text("{")

    with pytest.raises(DataError, match=r"count\.json"):
        GameCount(tmp_path).take()
