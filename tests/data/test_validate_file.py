import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_game, a_record
from medec_csv import a_correct_row, an_error_row, some_rows, write_csv
from medical_team.data.formats import OpenRlhfRow, RedTeamForkRow, rows_of
from medical_team.data.reading_log import Repair
from medical_team.data.validate import validate_file
from medical_team.errors import DataError
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType

RECORDS = [a_record(data_type) for data_type in DataType]
EACH_ONCE = dict.fromkeys(sorted(data_type.value for data_type in DataType), 1)


def valid(tmp_path: Path, rows: Iterable[Any], name: str = "file.jsonl"):
    write_jsonl(tmp_path / name, rows)
    return validate_file(tmp_path / name)


def problems_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        validate_file(path)
    return "\n".join(caught.value.problems)


def problems_in(tmp_path: Path, rows: list[Any]) -> str:
    write_jsonl(tmp_path / "file.jsonl", rows)
    return problems_of(tmp_path / "file.jsonl")


def test_each_kind_that_we_write_is_told_by_its_fields_and_counted(tmp_path: Path) -> None:
    training = valid(tmp_path, RECORDS)
    openrlhf = valid(tmp_path, rows_of(RECORDS, "openrlhf"))
    fork = valid(tmp_path, rows_of(RECORDS, "red-team-fork"), "no_suffix")
    games = valid(tmp_path, [a_game(data_type) for data_type in DataType], "games.jsonl")

    assert [found.kind for found in (training, openrlhf, fork, games)] == [
        "training records",
        "OpenRLHF rows",
        "Self-RedTeam fork rows",
        "games",
    ]
    assert all(found.counts == EACH_ONCE for found in (training, openrlhf, fork, games))


def test_a_good_csv_is_counted_and_its_repairs_told(tmp_path: Path) -> None:
    rows = some_rows(5)
    rows[0]["Text"] += " "

    found = validate_file(write_csv(tmp_path / "medec.csv", rows))

    assert (found.kind, found.lines) == ("notes", 10)
    assert found.counts["correct"] == 5
    assert found.remarks == ("1 rows: white space at the ends stripped",)


def test_all_problems_of_a_csv_are_named(tmp_path: Path) -> None:
    rows = [an_error_row(0, Error_Sentence="Nowhere."), an_error_row(1, Error_Flag="7"), a_correct_row(2)]

    problems = problems_of(write_csv(tmp_path / "medec.csv", rows)).splitlines()

    assert problems == [
        "1 row: Error Sentence does not occur in Text: line 2 (ms-val-0)",
        "1 row: Error Flag is 7, expected 0 or 1: line 5 (ms-val-2)",
    ]


def test_rows_are_grouped_by_what_is_wrong_the_most_frequent_first(tmp_path: Path) -> None:
    rows = [an_error_row(0, Error_Sentence="Nowhere.")]
    rows += [an_error_row(number, Error_Flag=str(number)) for number in range(2, 10)]

    problems = problems_of(write_csv(tmp_path / "medec.csv", rows)).splitlines()

    assert problems == [
        "8 rows: Error Flag is ..., expected ... or ...: line 5 (ms-val-4), line 8 (ms-val-6), line 11 (ms-val-8), "
        "line 14 (ms-val-10), line 17 (ms-val-12) and 3 more",
        "1 row: Error Sentence does not occur in Text: line 2 (ms-val-0)",
    ]


def test_strict_counts_a_corrected_text_that_differs_elsewhere_among_the_problems(tmp_path: Path) -> None:
    row = an_error_row(0)
    row["Corrected Text"] = row["Corrected Text"].replace("A visit is planned next week.", "A visit is planned.")
    path = write_csv(tmp_path / "medec.csv", [row])

    assert validate_file(path).remarks == (f"1 rows: {Repair.CORRECTED_TEXT.value}",)
    with pytest.raises(DataError, match="outside the corrected sentence"):
        validate_file(path, is_strict=True)


def test_notes_in_json_lines_are_checked_as_notes(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in [*some_rows(2), an_error_row(8, Error_Flag="9")]]
    (tmp_path / "notes.jsonl").write_text("\n".join(lines[:4]), encoding="utf-8")
    (tmp_path / "wrong.jsonl").write_text("\n".join(lines), encoding="utf-8")

    assert validate_file(tmp_path / "notes.jsonl").counts["correct"] == 2
    assert problems_of(tmp_path / "wrong.jsonl") == "1 row: Error Flag is 9, expected 0 or 1: line 5 (ms-val-16)"


def test_all_problems_of_training_records_are_named(tmp_path: Path) -> None:
    rows = [RECORDS[0], RECORDS[0], replace(RECORDS[1], note="another")]

    problems = problems_in(tmp_path, rows)

    assert "line 2: id:" in problems
    assert "line 3: note: is not the corrected_note" in problems


def test_all_problems_of_openrlhf_rows_are_named(tmp_path: Path) -> None:
    good = next(iter(rows_of(RECORDS, "openrlhf")))
    assert isinstance(good, OpenRlhfRow)
    rows = [good, OpenRlhfRow("another note", good.label), OpenRlhfRow("a", "{}"), OpenRlhfRow("a", "Harmful")]

    problems = problems_in(tmp_path, rows)

    assert "line 2: input: is not the note of the record in label" in problems
    assert "line 2: label: id:" in problems
    assert "line 3: label: id: Field required" in problems
    assert "line 4: label: Invalid JSON" in problems


def test_all_problems_of_fork_rows_are_named(tmp_path: Path) -> None:
    rows = [
        RedTeamForkRow("a", "b", "Harmful", DataType.VANILLA_BENIGN),
        RedTeamForkRow("", "", "Safe", DataType.VANILLA_BENIGN),
    ]

    problems = problems_in(tmp_path, rows)

    assert "line 1: adversarial: is not the note in vanilla" in problems
    assert "line 1: completion: is 'Harmful', expected 'Safe' for vanilla_benign" in problems
    assert "line 2: vanilla: is empty" in problems


def test_a_game_twice_and_a_truncated_line_are_named(tmp_path: Path) -> None:
    game = a_game()
    write_jsonl(tmp_path / "games.jsonl", [game, game])
    whole = (tmp_path / "games.jsonl").read_bytes()
    (tmp_path / "games.jsonl").write_bytes(whole + whole[:100])

    problems = problems_of(tmp_path / "games.jsonl")

    assert f"line 2: spec.id: '{game.spec.id}' is already on line 1" in problems
    assert "line 3: Invalid JSON" in problems


def test_a_line_of_another_kind_is_named_as_such(tmp_path: Path) -> None:
    problems = problems_in(tmp_path, [RECORDS[0], *rows_of(RECORDS[:1], "openrlhf")])

    assert problems == "line 2: holds OpenRLHF rows, where the file holds training records"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.jsonl", b"", "the file is empty"),
        ("empty.csv", b"", "the file is empty"),
        ("other.jsonl", b'{"a": 1}\n[1]\n7\n\xff\n', "no line is of a kind that we write"),
        ("picture", bytes(range(256)), "a binary file, or UTF-16"),
        ("letter.txt", b"Dear all,\n", "there is no column 'Text ID'"),
        ("deep.jsonl", b"[" * 100_000, "no line is of a kind that we write"),
    ],
)
def test_a_file_of_no_kind_is_told_so(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)

    assert problem in problems_of(tmp_path / name)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "No such file" in problems_of(tmp_path / "absent.csv")
    assert "No such file" in problems_of(tmp_path / "absent.jsonl")
    assert "it is a folder" in problems_of(tmp_path)


def test_the_validation_file_has_no_problem(medec_validation_csv: Path) -> None:
    found = validate_file(medec_validation_csv)

    assert (found.lines, found.counts["correct"], found.counts["management"]) == (574, 255, 168)
