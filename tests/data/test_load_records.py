import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_record
from medec_csv import some_rows, write_csv
from medical_team.config import DEMO_DATA, DEMO_HELDOUT_DATA, SAMPLE_DATA, DataConfig, GameConfig, RunConfig
from medical_team.data.load import load_records, load_sets, shared_near_duplicate_groups
from medical_team.data.synthetic import read_note
from medical_team.errors import DataError, UsageError
from medical_team.jsonl import to_line, write_jsonl
from medical_team.records import DataType, ErrorType, Source, TrainingRecord


def a_file(tmp_path: Path, *records: TrainingRecord) -> Path:
    path = tmp_path / "train.jsonl"
    write_jsonl(path, records)
    return path


def problems_of(path: Path, **filters: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_records(str(path), **filters)
    return "\n".join(caught.value.problems)


def test_records_come_back_in_order(tmp_path: Path) -> None:
    records = tuple(a_record(data_type) for data_type in DataType)

    assert load_records(str(a_file(tmp_path, *records))) == records


def test_error_types_keep_their_records(tmp_path: Path) -> None:
    treatment = a_record(id="t", case_id="other", error_type=ErrorType.TREATMENT)
    path = a_file(tmp_path, a_record(), treatment)

    assert load_records(str(path), [ErrorType.TREATMENT]) == (treatment,)


def test_a_filter_that_leaves_nothing_tells_what_there_is(tmp_path: Path) -> None:
    path = a_file(tmp_path, a_record())

    assert "asks for diagnosis; it has pharmacotherapy" in problems_of(path, error_types=[ErrorType.DIAGNOSIS])


def test_a_set_to_train_on_has_each_type_that_is_asked_for_but_a_held_out_one_may_lack_some(tmp_path: Path) -> None:
    anatomy = a_record(id="a", case_id="other", error_type="Anatomy")
    train = a_file(tmp_path, a_record(), anatomy)
    heldout = a_record(near_duplicate_group="another")
    write_jsonl(tmp_path / "heldout.jsonl", [heldout])
    config = RunConfig(
        data=DataConfig(train=str(train), heldout=str(tmp_path / "heldout.jsonl")),
        game=GameConfig(error_types=("anatomy", "pharmacotherapy")),
    )

    assert load_sets(config) == ((a_record(), anatomy), (heldout,))
    asked = ("pharmacotherapy", "anatomie")
    assert "asks for anatomie; it has pharmacotherapy, Anatomy" in problems_of(train, error_types=asked)


def test_all_problems_of_all_lines_are_named_at_once(tmp_path: Path) -> None:
    good = a_record()
    lines = [
        to_line(good),
        to_line(good),
        to_line(replace(good, id="b", note=" ")),
        to_line(replace(good, id="c", data_type=DataType.VANILLA_BENIGN)),
        to_line(replace(good, id="d", case_id="d", error_note=good.corrected_note, note=good.corrected_note)),
        to_line(replace(good, id="e", case_id="e", error_sentence="Nowhere.", corrected_sentence="Nor here.")),
        to_line(replace(good, id="f", error_type=ErrorType.DIAGNOSIS)),
        to_line(good)[:50],
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")

    problems = problems_of(path)

    assert not problems.startswith("line 1:")
    assert f"line 2: id: '{good.id}' is already on line 1" in problems
    assert "line 3: note: is empty" in problems
    assert "line 4: note: is not the corrected_note, as data_type vanilla_benign says" in problems
    assert "line 5: error_note: is the same as corrected_note" in problems
    assert "line 6: error_sentence: does not occur in error_note" in problems
    assert "line 6: corrected_sentence: does not occur in corrected_note" in problems
    assert "line 7: case_id: 'case-0' is another case on line 1" in problems
    assert "line 8: Invalid JSON" in problems


def test_a_csv_is_told_to_be_built_first(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "medec.csv", some_rows(2))

    assert f"run `medical-team data build {path} -o data`" in problems_of(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "the file is empty"),
        ("nothing\n", "no line is one"),
        ('{"vanilla": "a", "adversarial": "a"}\n', "it holds Self-RedTeam fork rows; name the train.jsonl"),
        ('{"input": "a", "label": "b"}\n', "it holds OpenRLHF rows"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text(content, encoding="utf-8")

    assert problem in problems_of(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "No such file" in problems_of(tmp_path / "absent.jsonl")
    assert "it is a folder; name the JSONL in it" in problems_of(tmp_path)


def test_shared_near_duplicate_groups_are_found() -> None:
    train = [a_record(near_duplicate_group="a"), a_record(near_duplicate_group="b")]

    assert shared_near_duplicate_groups(train, [a_record(near_duplicate_group="b")]) == ["b"]
    assert shared_near_duplicate_groups(train, [a_record(near_duplicate_group="c")]) == []


def test_held_out_notes_whose_near_duplicates_are_trained_on_are_refused(tmp_path: Path) -> None:
    train = a_file(
        tmp_path, a_record(near_duplicate_group="a"), a_record(id="2", case_id="2", near_duplicate_group="b")
    )
    heldout = tmp_path / "heldout.jsonl"
    config = RunConfig(data=DataConfig(train=str(train), heldout=str(heldout)))

    write_jsonl(heldout, [a_record(near_duplicate_group="c")])
    assert len(load_sets(config)[1]) == 1
    write_jsonl(heldout, [a_record(near_duplicate_group="b")])
    with pytest.raises(UsageError, match=r"^1 near-duplicate groups .* \(for example b\).*data build --heldout"):
        load_sets(config)


def test_the_demo_data_is_in_the_demo_policys_language_and_the_same_each_time() -> None:
    records = load_records(DEMO_DATA)

    assert records == load_records(DEMO_DATA)
    assert all(not read_note(record.note).unread for record in records[:40])
    assert {record.data_type for record in records} == set(DataType)


def test_the_demos_held_out_notes_are_no_notes_to_play_with() -> None:
    heldout = load_records(DEMO_HELDOUT_DATA)

    assert {record.note for record in heldout}.isdisjoint(record.note for record in load_records(DEMO_DATA))
    assert shared_near_duplicate_groups(load_records(DEMO_DATA), heldout) == []


def test_the_sample_data_ships_and_is_the_same_each_time() -> None:
    records = load_records(SAMPLE_DATA)

    assert records == load_records(SAMPLE_DATA)
    assert {record.source for record in records} == {Source.SYNTHETIC}
    assert {record.error_type for record in records} == set(ErrorType)


def test_json_lines_with_the_columns_of_notes_lead_to_the_command_that_builds(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(json.dumps({"Text ID": "a", "Text": "A note."}) + "\n", encoding="utf-8")

    assert (
        problems_of(path) == f"it holds notes; run `medical-team data build {path} -o data`, then name data/train.jsonl"
    )


def test_a_packed_file_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl.gz"
    path.write_bytes(gzip.compress(to_line(a_record()).encode()))

    assert problems_of(path) == f"it is packed by gzip: unpack it first (gunzip {path})"
