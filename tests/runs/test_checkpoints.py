import pytest

from medical_team.errors import DataError
from medical_team.files import atomic_folder
from medical_team.runs.checkpoints import BestCheckpoint, Checkpoints


def save(checkpoints, *steps):
    for step in steps:
        with atomic_folder(checkpoints.path_of(step)) as folder:
            (folder / "checkpoint.json").write_text("{}", encoding="utf-8")


def test_only_complete_checkpoints_are_listed(tmp_path):
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


def test_the_last_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    save(checkpoints, 1, 2, 3, 4, 5)

    assert checkpoints.prune(keep_last=2, best=1) == [2, 3]

    assert checkpoints.steps() == [1, 4, 5]
    assert checkpoints.prune(keep_last=2, best=5) == [1]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["step-000004", "step-000005"]


def test_the_best_is_the_highest_so_far(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.best() is None

    assert checkpoints.record_best(10, "accuracy", 0.5)
    assert not checkpoints.record_best(20, "accuracy", 0.5)
    assert checkpoints.record_best(30, "accuracy", 0.75)

    assert checkpoints.best() == BestCheckpoint(30, "accuracy", 0.75)
    assert checkpoints.record_best(40, "f1", 0.1)


def test_a_damaged_record_of_the_best_is_named(tmp_path):
    (tmp_path / "best.json").write_text('{"step": 1}', encoding="utf-8")

    with pytest.raises(DataError, match=r"best\.json is damaged"):
        Checkpoints(tmp_path).best()
