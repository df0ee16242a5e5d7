import json
from pathlib import Path

import pytest

from builders import a_record
from medical_team.data.formats import RedTeamForkRow, openrlhf_row, record_of_label, red_team_fork_row, rows_of
from medical_team.data.load import convert_records
from medical_team.errors import DataError, UsageError
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType, TrainingRecord

RECORDS = [a_record(data_type) for data_type in DataType]


@pytest.mark.parametrize("record", RECORDS)
def test_the_label_of_an_openrlhf_row_holds_the_whole_record(record: TrainingRecord) -> None:
    row = openrlhf_row(record)

    assert row.input == record.note
    assert record_of_label(row.label) == record


@pytest.mark.parametrize("record", RECORDS)
def test_both_note_fields_of_a_fork_row_hold_the_seed_note(record: TrainingRecord) -> None:
    row = red_team_fork_row(record)

    assert row.vanilla == row.adversarial == record.note
    assert row.completion == ("Harmful" if record.data_type.is_harmful else "Safe")
    assert row.data_type is record.data_type


def test_all_rows_can_be_written_as_vanilla() -> None:
    rows = [row for row in rows_of(RECORDS, "red-team-fork", all_vanilla=True) if isinstance(row, RedTeamForkRow)]

    assert [row.data_type.value for row in rows] == ["vanilla_harmful", "vanilla_benign"] * 2
    assert [row.vanilla for row in rows] == [record.note for record in RECORDS]


def test_a_file_is_converted_line_by_line(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", RECORDS)

    count = convert_records(str(tmp_path / "train.jsonl"), tmp_path / "new" / "fork.jsonl", "red-team-fork")

    lines = (tmp_path / "new" / "fork.jsonl").read_text(encoding="utf-8").splitlines()
    assert count == len(lines) == 4
    assert list(json.loads(lines[0])) == ["vanilla", "adversarial", "completion", "data_type"]
    assert [json.loads(line)["data_type"] for line in lines] == [data_type.value for data_type in DataType]


def test_what_would_do_harm_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "train.jsonl"
    write_jsonl(source, RECORDS)
    (tmp_path / "letter.txt").write_text("Dear all", encoding="utf-8")

    with pytest.raises(UsageError, match="is the file to convert"):
        convert_records(str(source), source, "openrlhf")
    with pytest.raises(UsageError, match="is a folder"):
        convert_records(str(source), tmp_path, "openrlhf")
    with pytest.raises(UsageError, match="was not written by this program"):
        convert_records(str(source), tmp_path / "letter.txt", "openrlhf")
    with pytest.raises(UsageError, match="--all-vanilla is for red-team-fork"):
        convert_records(str(source), tmp_path / "out.jsonl", "openrlhf", all_vanilla=True)
    with pytest.raises(DataError, match="No such file"):
        convert_records(str(tmp_path / "absent.jsonl"), tmp_path / "out.jsonl", "openrlhf")

    assert (tmp_path / "letter.txt").read_text(encoding="utf-8") == "Dear all"
    assert not (tmp_path / "out.jsonl").exists()
