from pathlib import Path

import pytest

from builders import a_record
from medical_team.config import RunConfig
from medical_team.errors import RunFolderError
from medical_team.records import DataType
from medical_team.runs.folder import RunFolder

RECORDS = [a_record(data_type) for data_type in DataType]


@pytest.mark.parametrize("name", ["data/train.jsonl", "data/heldout.jsonl"])
def test_data_that_changed_since_the_run_began_are_told(tmp_path: Path, name: str) -> None:
    run = RunFolder.create(tmp_path / "run", RunConfig(), RECORDS, RECORDS[:2])
    assert RunFolder.open(run.path).data_problem() is None

    lines = (run.path / name).read_text(encoding="utf-8").splitlines(keepends=True)
    (run.path / name).write_text("".join(lines[1:]), encoding="utf-8")

    problem = RunFolder.open(run.path).data_problem()
    assert problem is not None
    assert problem.startswith(f"{name} of {run.path} changed since the run began")


def test_a_run_lies_in_no_part_of_another(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", RunConfig(), RECORDS)

    for part in ("checkpoints/new", "final/new", "data/new"):
        with pytest.raises(RunFolderError, match="lies among what belongs to the run"):
            RunFolder.create(run.path / part, RunConfig(), RECORDS)
    RunFolder.create(run.path / "attackers" / "a", RunConfig(), RECORDS)
