from pathlib import Path

import pytest

from medical_team.errors import DataError, TrainingError
from medical_team.files import atomic_folder
from medical_team.runs.checkpoints import BestCheckpoint, CheckpointInfo, Checkpoints, is_checkpoint


def save(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        with atomic_folder(checkpoints.path_of(step)) as folder:
            CheckpointInfo(step, "lora").write(folder)


def test_only_complete_checkpoints_are_listed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    assert checkpoints.steps() == []
    assert checkpoints.latest() is None

    save(checkpoints, 1_000_000, 999_999, 10)
    checkpoints.path_of(20).mkdir()
    (checkpoints.folder / ".step-000030.abcdefgh").mkdir()
    (checkpoints.folder / "step-mine").mkdir()

    assert checkpoints.steps() == [10, 999_999, 1_000_000]
    assert checkpoints.latest() == 1_000_000
    assert checkpoints.path_of(10).name == "step-000010"
    assert checkpoints.incomplete_after(10) == [checkpoints.path_of(20)]
    assert checkpoints.incomplete_after(20) == []


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, 2, 3, 4, 5)

    assert checkpoints.prune(keep_last=2, best=1) == [2, 3]

    assert checkpoints.steps() == [1, 4, 5]
    assert checkpoints.prune(keep_last=2, best=5) == [1]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["step-000004", "step-000005"]


def test_the_best_is_the_highest_so_far(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.best() is None

    assert checkpoints.record_best(10, "accuracy", 0.5)
    assert checkpoints.record_best(20, "accuracy", 0.5)
    assert not checkpoints.record_best(25, "accuracy", 0.25)
    assert checkpoints.record_best(30, "accuracy", 0.75)

    assert checkpoints.best() == BestCheckpoint(30, "accuracy", 0.75)
    assert checkpoints.record_best(40, "f1", 0.1)


def test_a_damaged_record_of_the_best_is_named(tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text('{"step": 1}', encoding="utf-8")

    with pytest.raises(DataError, match=r"best\.json is damaged"):
        Checkpoints(tmp_path).best()


def test_a_checkpoint_says_what_it_is(tmp_path: Path) -> None:
    assert not is_checkpoint(tmp_path)
    CheckpointInfo(10, "lora", "separate", "openrlhf").write(tmp_path)

    assert is_checkpoint(tmp_path)
    assert CheckpointInfo.read(tmp_path) == CheckpointInfo(10, "lora", "separate", "openrlhf")


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('{"format": 9}', "another version: completed_steps: .*; format: Input should be 1"),
        ("{", "checkpoint.json is damaged"),
        ("[]", "checkpoint.json is damaged"),
        ('{"format": 1}', "checkpoint.json is damaged"),
    ],
)
def test_a_checkpoint_of_another_format_or_none_is_refused(marker: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").write_text(marker)

    with pytest.raises(TrainingError, match=message):
        CheckpointInfo.read(tmp_path)


def test_a_best_checkpoint_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "best.json").mkdir()

    with pytest.raises(DataError, match=r"best\.json can't be read"):
        Checkpoints(tmp_path).best()
