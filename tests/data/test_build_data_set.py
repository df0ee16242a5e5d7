import errno
import hashlib
import json
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from medec_csv import a_correct_row, an_error_row, csv_text, some_rows, write_csv
from medical_team.data import build as build_module
from medical_team.data import build as output_module
from medical_team.data.build import build_data_set, build_records
from medical_team.data.card import DataCard
from medical_team.data.load import load_records
from medical_team.data.reading_log import Repair
from medical_team.errors import DataError, OutputError, UsageError
from medical_team.files import one_at_a_time
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType, ErrorType, TrainingRecord
from medical_team.sentences import NumberedNote


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "medec.csv", some_rows(21))


def records_in(folder: Path, name: str = "train.jsonl"):
    return load_records(str(folder / name))


def counts_of(records: tuple[TrainingRecord, ...]):
    counts = Counter(record.data_type for record in records)
    return [counts[data_type] for data_type in DataType]


def test_each_error_case_gives_its_error_note_and_its_corrected_note(csv: Path, tmp_path: Path) -> None:
    build_data_set(csv, tmp_path / "data")

    records = records_in(tmp_path / "data")
    assert len(records) == 42
    assert counts_of(records) == [11, 11, 10, 10]
    by_id = {record.id: record for record in records}
    harmful, benign = by_id["ms-val-6-harmful"], by_id["ms-val-6-benign"]
    assert harmful.note == harmful.error_note == benign.error_note
    assert benign.note == benign.corrected_note == harmful.corrected_note
    assert "5000 mg" in harmful.note
    assert "5000 mg" not in benign.note
    assert harmful.error_type == ErrorType.PHARMACOTHERAPY
    assert harmful.data_type.is_adversarial == benign.data_type.is_adversarial


def test_records_know_the_sentences_of_the_file(csv: Path, tmp_path: Path) -> None:
    build_data_set(csv, tmp_path / "data")

    records = records_in(tmp_path / "data")
    assert {record.data_type.is_harmful for record in records} == {True, False}
    for record in records:
        sentences = NumberedNote(record.note, record.sentence_starts).sentences
        at_stake = record.error_sentence if record.data_type.is_harmful else record.corrected_sentence
        assert len(record.sentence_starts) == 3
        assert sentences[1] == at_stake
        assert sentences[2] == "A visit is planned next week."


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(csv: Path, tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        build_data_set(csv, tmp_path / folder, seed=seed, heldout=0.3)

    a, b, c = ({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in "abc")
    assert a == b
    assert set(a) == {"train.jsonl", "heldout.jsonl", "data_card.json", "data_card.md"}
    assert a["train.jsonl"] != c["train.jsonl"]


def test_num_samples_counts_error_cases(csv: Path, tmp_path: Path) -> None:
    build_data_set(csv, tmp_path, num_samples=10)

    records = records_in(tmp_path)
    assert len(records) == 20
    assert {record.error_type for record in records} == set(ErrorType)


def test_more_cases_than_there_are_means_all(csv: Path, tmp_path: Path) -> None:
    built = build_data_set(csv, tmp_path, num_samples=319)

    assert (built.card.num_samples, built.card.cases_used) == (319, 21)


def test_held_out_cases_share_no_near_duplicate_group_with_those_trained_on(tmp_path: Path) -> None:
    # Cases 0 to 5 are one group: the same note under six ids.
    same = [an_error_row(0, Text_ID=f"ms-val-{number}") for number in range(100, 106)]
    csv = write_csv(tmp_path / "medec.csv", [*same, *some_rows(20)])

    built = build_data_set(csv, tmp_path, heldout=0.3)

    train, held = records_in(tmp_path), records_in(tmp_path, "heldout.jsonl")
    assert {record.near_duplicate_group for record in train}.isdisjoint(record.near_duplicate_group for record in held)
    assert len(train) + len(held) == 52
    assert built.card.largest_near_duplicate_group == 8  # six copies, the case they copy, and its correct note
    assert {record.note for record in train}.isdisjoint(record.note for record in held)


def test_error_types_filter(csv: Path, tmp_path: Path) -> None:
    build_data_set(csv, tmp_path, error_types=(ErrorType.DIAGNOSIS, ErrorType.TREATMENT))

    assert {record.error_type for record in records_in(tmp_path)} == {ErrorType.DIAGNOSIS, ErrorType.TREATMENT}


def test_the_card_tells_counts_repairs_and_refusals_and_no_path(tmp_path: Path) -> None:
    rows = [
        *some_rows(6),
        an_error_row(7, Error_Flag="7"),
        an_error_row(8, Error_Sentence="Nowhere."),
        a_correct_row(9),
    ]
    rows[0]["Text"] += " "
    csv = write_csv(tmp_path / "medec|`x`.csv", rows)

    build_data_set(csv, tmp_path / "data", seed=5)

    card = json.loads((tmp_path / "data" / "data_card.json").read_text(encoding="utf-8"))
    (source,) = card["files"]
    assert source["sha256"] == hashlib.sha256(csv.read_bytes()).hexdigest()
    assert (source["name"], source["rows"], card["seed"]) == (csv.name, 15, 5)
    assert "1 row: Error Flag is 7, expected 0 or 1: line 32 (ms-val-14)" in card["refused_for"]
    assert (card["rows"], card["error_cases"], card["correct_notes"], card["refused"]) == (15, 6, 7, 2)
    assert card["repairs"]["white space at the ends stripped"] == 1
    assert any("Error Flag is 7" in refusal for refusal in card["refusals"])
    assert any("(ms-val-16): Error Sentence does not occur in Text" in refusal for refusal in card["refusals"])
    assert card["sets"][0]["by_data_type"] == dict.fromkeys((kind.value for kind in DataType), 3)
    assert card["edit_words"]["median"] == 1
    assert "CC BY 4.0" in card["licence"][0]
    page = (tmp_path / "data" / "data_card.md").read_text(encoding="utf-8")
    assert "12 records of 6 cases" in page
    assert str(tmp_path) not in page + json.dumps(card)


def test_synthetic_notes_have_their_own_licence(tmp_path: Path) -> None:
    rows = [an_error_row(number, Text_ID=f"synthetic-{number}") for number in range(4)]

    built = build_data_set(write_csv(tmp_path / "notes.csv", rows), tmp_path / "data")

    assert built.card.sources == ["synthetic"]
    assert "not medical advice" in built.card.licence[0]


def test_a_file_without_usable_case_tells_why(tmp_path: Path) -> None:
    rows = [a_correct_row(0), an_error_row(1, Error_Flag="7")]

    with pytest.raises(DataError) as caught:
        build_data_set(write_csv(tmp_path / "medec.csv", rows), tmp_path / "data")

    assert "1 are correct notes and 1 were refused" in str(caught.value)
    assert "line 4 (ms-val-2): Error Flag is 7" in str(caught.value)
    assert not (tmp_path / "data").exists()


def test_error_types_of_another_data_set_are_kept_as_written_and_asked_for_by_any_spelling(tmp_path: Path) -> None:
    names = ["Lab / Serum Value", "lab-serum value", "Anatomy", "causal organism", "Dosage"]
    csv = write_csv(tmp_path / "notes.csv", [an_error_row(number, name) for number, name in enumerate(names)])

    built = build_data_set(csv, tmp_path / "all")
    build_data_set(csv, tmp_path / "some", error_types=("ANATOMY", "lab/serum value", "dosage"))

    kept = {record.error_type for record in records_in(tmp_path / "all")}
    assert kept == {"Lab / Serum Value", "lab-serum value", "Anatomy", "causalOrganism", "Dosage"}
    assert list(built.card.sets[0].by_error_type)[4:] == [
        "causalOrganism",
        "Anatomy",
        "Dosage",
        "Lab / Serum Value",
        "lab-serum value",
    ]
    # What the file calls Dosage is meant, not MEDEC's pharmacotherapy.
    chosen = {record.error_type for record in records_in(tmp_path / "some")}
    assert chosen == {"Lab / Serum Value", "Anatomy", "Dosage"}


def test_an_error_type_that_is_nowhere_is_told_with_those_that_are(tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "medec.csv", some_rows(4))

    with pytest.raises(UsageError, match=r"asks for anatomie; .* has diagnosis, management, treatment, pharmaco"):
        build_data_set(csv, tmp_path / "data", error_types=("diagnosis", "anatomie"))


def test_several_files_make_one_data_set(tmp_path: Path) -> None:
    first = write_csv(tmp_path / "first.csv", some_rows(4))
    again = [an_error_row(number, Text_ID=f"ms-val-{2 * (number - 4)}") for number in range(4, 8)]
    copies = [an_error_row(number, Text_ID=f"copy-{number}") for number in range(2)]
    second = write_csv(tmp_path / "second.csv", [*again, *copies, an_error_row(9, Error_Flag="9")])

    built = build_data_set([first, second], tmp_path / "data", heldout=0.3)

    train, held = records_in(tmp_path / "data"), records_in(tmp_path / "data", "heldout.jsonl")
    cases = {record.case_id for record in (*train, *held)}
    # Text ids that both files have are told apart by the file's name.
    assert {"ms-val-0", "ms-val-6", "second-ms-val-0", "second-ms-val-6", "copy-0"} < cases
    assert len(cases) == 10
    # Near-duplicates are found across files, and never divided.
    groups = {record.case_id: record.near_duplicate_group for record in (*train, *held)}
    assert groups["copy-0"] == groups["ms-val-0"]
    assert not {record.near_duplicate_group for record in train} & {record.near_duplicate_group for record in held}
    assert [(file.name, file.error_cases, file.refused) for file in built.card.files] == [
        ("first.csv", 4, 0),
        ("second.csv", 6, 1),
    ]
    assert built.card.repairs["Text ID that another file has too made unique by its file's name"] == 4
    assert built.card.refusals == ["second.csv, line 20 (ms-val-18): Error Flag is 9, expected 0 or 1"]
    page = (tmp_path / "data" / "data_card.md").read_text(encoding="utf-8")
    assert "`second.csv`: 7 rows, 6 error cases, 0 correct, 1 refused" in page
    assert built.card.sources == ["medec", "other"]
    assert "under its own licence" in built.card.licence[1]


def test_other_columns_are_kept_as_metadata_and_choose_cases(tmp_path: Path) -> None:
    rows = [
        an_error_row(number) | {"": str(number), "Difficulty": difficulty, "Reasoning Type": reasoning, "Empty": ""}
        for number, (difficulty, reasoning) in enumerate(
            [("Hard", "Multi-hop"), ("Easy", "Multi-hop"), ("hard ", "Single-hop"), ("Medium", "Multi hop")]
        )
    ]
    csv = tmp_path / "notes.csv"
    csv.write_text(csv_text(rows, list(rows[0])), encoding="utf-8", newline="")

    build_data_set(csv, tmp_path / "all")
    wanted = ["difficulty=hard", "Difficulty=MEDIUM", "reasoning type=multihop"]
    built = build_data_set(csv, tmp_path / "some", where=wanted)

    by_case = {record.case_id: record.metadata for record in records_in(tmp_path / "all")}
    assert by_case["ms-val-2"] == {"Difficulty": "Easy", "Reasoning Type": "Multi-hop"}
    assert {record.case_id for record in records_in(tmp_path / "some")} == {"ms-val-0", "ms-val-6"}
    assert built.card.where == wanted
    assert (built.card.error_cases, built.card.cases_used) == (4, 2)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("Difficulty", "--where is 'Difficulty', expected a column and a value, e.g. Difficulty=Hard"),
        ("=Hard", "--where is '=Hard'"),
        ("Dificulty=Hard", r"asks for the column 'Dificulty'; .*notes\.csv has 'Difficulty'"),
        ("Difficulty=Harder", r"asks for Difficulty=Harder; .*notes\.csv has 'Hard', 'Easy'"),
    ],
)
def test_metadata_that_are_nowhere_are_told_with_those_that_are(tmp_path: Path, where: str, message: str) -> None:
    rows = [an_error_row(number) | {"Difficulty": value} for number, value in enumerate(["Hard", "Easy"])]
    (tmp_path / "notes.csv").write_text(csv_text(rows, list(rows[0])), encoding="utf-8", newline="")

    with pytest.raises(UsageError, match=message):
        build_data_set(tmp_path / "notes.csv", tmp_path / "data", where=[where])
    assert not (tmp_path / "data").exists()


def test_a_filter_that_leaves_nothing_tells_what_there_is(tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "medec.csv", [an_error_row(0, "diagnosis")])

    with pytest.raises(DataError, match="asks for treatment; the file has diagnosis"):
        build_data_set(csv, tmp_path / "data", error_types=(ErrorType.TREATMENT,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "--num-samples is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"heldout": 1.0}, "--heldout is 1.0, expected a fraction above 0 and below 1"),
        ({"heldout": float("nan")}, "--heldout is nan"),
        ({"error_types": ("diagnosis", " ")}, "--error-types holds an empty name"),
        ({"heldout": 0.01}, "leaves 21 to train on and 0 held out"),
    ],
)
def test_arguments_out_of_bounds_name_their_option(
    csv: Path, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_data_set(csv, tmp_path / "data", **arguments)

    assert not (tmp_path / "data").exists()


def test_a_rebuild_replaces_the_set_and_removes_a_stale_held_out_file(csv: Path, tmp_path: Path) -> None:
    build_data_set(csv, tmp_path / "data", heldout=0.3)

    built = build_data_set(csv, tmp_path / "data")

    assert built.stale_heldout_removed
    assert not (tmp_path / "data" / "heldout.jsonl").exists()
    assert len(records_in(tmp_path / "data")) == 42


def test_two_builds_into_one_folder_leave_the_files_of_one(csv: Path, tmp_path: Path) -> None:
    folder, alone = tmp_path / "data", [tmp_path / "a", tmp_path / "b"]
    for seed, path in enumerate(alone):
        build_data_set(csv, path, seed=seed, heldout=0.5)
    both = [
        threading.Thread(target=build_data_set, args=(csv, folder), kwargs={"seed": seed, "heldout": 0.5})
        for seed in range(2)
    ]

    with one_at_a_time(folder):
        for build in both:
            build.start()
        both[0].join(timeout=0.2)
        assert list(folder.iterdir()) == []
    for build in both:
        build.join()

    names = ["train.jsonl", "heldout.jsonl", "data_card.json"]
    found = [(folder / name).read_bytes() for name in names]
    assert found in [[(path / name).read_bytes() for name in names] for path in alone]


def test_a_file_that_is_named_twice_is_refused(csv: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.csv").write_bytes(csv.read_bytes())
    (tmp_path / "link.csv").symlink_to(csv)

    for again in (csv, tmp_path / "copy.csv", tmp_path / "link.csv"):
        with pytest.raises(UsageError, match=f"{again.name} holds the same as .*{csv.name}"):
            build_data_set([csv, again], tmp_path / "data")


def test_somebody_elses_file_is_not_overwritten(csv: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("my notes\n", encoding="utf-8")

    with pytest.raises(UsageError, match="was not written by this program"):
        build_data_set(csv, tmp_path)

    assert (tmp_path / "train.jsonl").read_text(encoding="utf-8") == "my notes\n"


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    csv = write_csv(tmp_path / "train.jsonl", some_rows(3))

    with pytest.raises(UsageError, match="would be overwritten"):
        build_data_set(csv, tmp_path)


def test_an_output_that_is_a_file_is_named(csv: Path, tmp_path: Path) -> None:
    (tmp_path / "data").touch()

    with pytest.raises(UsageError, match="is a file; -o names the folder"):
        build_data_set(csv, tmp_path / "data")


def test_a_full_disk_leaves_the_earlier_set_as_it_was(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_data_set(csv, tmp_path / "data", seed=1, heldout=0.3)
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}

    def full(card: DataCard):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output_module, "card_as_markdown", full)

    with pytest.raises(OutputError, match="No space left on device"):
        build_data_set(csv, tmp_path / "data", seed=2, heldout=0.3)

    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == before


def test_records_in_memory_are_those_that_are_written(csv: Path, tmp_path: Path) -> None:
    build_data_set(csv, tmp_path, seed=3)

    assert build_records(csv, 3) == records_in(tmp_path)
    assert build_module.DEFAULT_SEED == 42


def test_the_validation_file_gives_638_records_in_four_equal_categories(
    medec_validation_csv: Path, tmp_path: Path
) -> None:
    built = build_data_set(medec_validation_csv, tmp_path, num_samples=319)

    records = records_in(tmp_path)
    assert len(records) == 638
    assert counts_of(records) == [160, 160, 159, 159]
    assert built.card.refused == 0
    assert built.card.largest_near_duplicate_group == 2
    for error_type, count in (("management", 168), ("diagnosis", 86), ("pharmacotherapy", 27), ("treatment", 25)):
        assert sum(record.error_type == error_type for record in records) == 2 * count
    assert not any(one.near_duplicate_group == other.near_duplicate_group for one, other in pairwise(records))


@pytest.mark.parametrize(
    ("name", "cases", "mended"),
    [
        ("EN", 54, {Repair.MAC_ROMAN: 38, Repair.CORRECTED_TEXT: 20, Repair.SENTENCE: 2}),
        ("CN", 50, {Repair.SENTENCE: 1}),
        ("ARA", 29, {Repair.OUTER_WHITE_SPACE: 27, Repair.SENTENCE: 1}),
    ],
)
def test_every_error_case_of_mederrbench_is_used(
    mederrbench_folder: Path, tmp_path: Path, name: str, cases: int, mended: dict[Repair, int]
) -> None:
    card = build_data_set(mederrbench_folder / f"reviewed_data_{name}_validation.csv", tmp_path).card

    assert (card.cases_used, card.refused) == (cases, 0)
    assert {repair: card.repairs[repair.value] for repair in mended} == mended


def test_a_held_out_tenth_of_the_validation_file_is_split_by_near_duplicate_group(
    medec_validation_csv: Path, tmp_path: Path
) -> None:
    build_data_set(medec_validation_csv, tmp_path, heldout=0.1)

    train, held = records_in(tmp_path), records_in(tmp_path, "heldout.jsonl")
    assert (len(train), len(held)) == (574, 64)
    assert {record.near_duplicate_group for record in train}.isdisjoint(record.near_duplicate_group for record in held)
    write_jsonl(tmp_path / "both.jsonl", [*train, *held])
    assert len(load_records(str(tmp_path / "both.jsonl"))) == 638
