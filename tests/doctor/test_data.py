from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_record
from doctor_cases import a_subject, look
from medical_team.config import DataConfig, EngineConfig, EngineKind, GameConfig, RunConfig
from medical_team.data.build import build_data_set
from medical_team.data.load import convert_records
from medical_team.data.synthetic import write_synthetic_csv
from medical_team.doctor.findings import Status
from medical_team.jsonl import write_jsonl
from medical_team.records import DataType, ErrorType


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set of 40 synthetic cases, as `data build` writes it."""
    folder = tmp_path_factory.mktemp("built")
    write_synthetic_csv(folder / "notes.csv", 80, seed=3)
    build_data_set(folder / "notes.csv", folder, num_samples=40, heldout=0.2)
    return folder


@pytest.fixture
def data(built: Path, tmp_path: Path) -> Path:
    """The same, to be broken."""
    for name in ("train.jsonl", "heldout.jsonl", "data_card.json"):
        (tmp_path / name).write_bytes((built / name).read_bytes())
    return tmp_path / "train.jsonl"


def config_of(path: Path | str, *, heldout: Path | None = None, kind: EngineKind = "local", **game: Any) -> RunConfig:
    return RunConfig(
        data=DataConfig(str(path), str(heldout) if heldout else None),
        game=GameConfig(**game),
        engine=EngineConfig(kind=kind),
    )


def seen(name: str, path: Path | str, **options: Any):
    return look(name, a_subject(config_of(path, **options)))


def test_good_data_is_well(data: Path) -> None:
    for name in ("data", "data_count", "data_quarters", "data_mix"):
        assert seen(name, data).status is Status.OK
    heldout = seen("data_heldout", data, heldout=data.with_name("heldout.jsonl"))
    assert heldout.status is Status.OK
    assert "none of them a twin" in heldout.found


def test_the_notes_that_ship_are_well() -> None:
    assert seen("data", "sample").found == "400 records of the synthetic notes that ship"
    assert seen("data_count", "sample").status is Status.OK


def test_a_file_that_is_not_there_is_built(tmp_path: Path) -> None:
    finding = seen("data", tmp_path / "data" / "train.jsonl")

    assert finding.status is Status.FAILED
    assert "No such file" in finding.found
    assert finding.mend == f"medical-team data build MEDEC.csv -o {tmp_path / 'data'}"


def test_a_file_that_is_cut_off_in_a_line_fails_with_the_line(data: Path) -> None:
    content = data.read_bytes()
    data.write_bytes(content[: len(content) - 400])

    finding = seen("data", data)

    assert finding.status is Status.FAILED
    assert "line 64" in finding.found
    assert f"medical-team data validate {data}" in finding.mend


def test_a_file_that_lost_whole_lines_fails_by_its_card(data: Path) -> None:
    lines = data.read_bytes().splitlines(keepends=True)
    data.write_bytes(b"".join(lines[:-4]))

    assert seen("data", data).status is Status.OK
    finding = seen("data_count", data)

    assert finding.status is Status.FAILED
    assert f"60 records, and {data.with_name('data_card.json')} says 64" in finding.found


def test_a_file_for_another_engine_is_named_as_what_it_is(data: Path, tmp_path: Path) -> None:
    converted = tmp_path / "fork.jsonl"
    convert_records(str(data), converted, "red-team-fork")

    finding = seen("data", converted)

    assert finding.status is Status.FAILED
    assert "Self-RedTeam fork rows" in finding.found


def test_a_file_without_a_card_is_a_warning(data: Path) -> None:
    data.with_name("data_card.json").unlink()
    assert seen("data_count", data).status is Status.WARNING


def test_what_the_filter_leaves_out_is_told(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    kinds = [ErrorType.DIAGNOSIS, ErrorType.TREATMENT, ErrorType.TREATMENT]
    write_jsonl(
        path,
        [
            a_record(id=f"r{n}", case_id=f"c{n}", near_duplicate_group=f"t{n}", error_type=k)
            for n, k in enumerate(kinds)
        ],
    )

    finding = seen("data_count", path, error_types=("diagnosis",))

    assert finding.found.startswith("1 records to play; game.error_types leaves out 2")


def test_an_error_type_that_train_refuses_fails(data: Path) -> None:
    finding = seen("data_count", data, error_types=("anatomie",))

    assert finding.status is Status.FAILED
    assert "error_types asks for anatomie" in finding.found


def test_a_missing_category_and_uneven_ones_are_warnings(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"

    def write(counts: dict[DataType, int]) -> None:
        write_jsonl(
            path, [a_record(kind, id=f"{kind.value}-{n}") for kind, count in counts.items() for n in range(count)]
        )

    write(dict.fromkeys(DataType, 20) | {DataType.VANILLA_BENIGN: 30})
    uneven = seen("data_quarters", path)
    write({DataType.VANILLA_BENIGN: 2, DataType.VANILLA_HARMFUL: 2})
    missing = seen("data_quarters", path)

    assert uneven.status is missing.status is Status.WARNING
    assert "uneven" in uneven.found
    assert "no adversarial_harmful and no adversarial_benign" in missing.found


@pytest.mark.parametrize("kind", ["local", "openrlhf"])
def test_the_local_engine_and_upstream_play_the_file_as_it_is(data: Path, kind: str) -> None:
    assert (
        f"the engine {kind} plays the file as it is: 50% of games with an attacker"
        in seen("data_mix", data, kind=kind).found
    )


def test_the_ablations_change_the_mix(data: Path) -> None:
    assert "only the assessor learns" in seen("data_mix", data, no_attacker_turn=True).found
    assert "100% of games with an attacker" in seen("data_mix", data, no_defender_turn=True).found


def test_what_the_fork_makes_of_the_rows_is_told(data: Path) -> None:
    finding = seen("data_mix", data, kind="red-team-fork")

    assert finding.status is Status.OK
    assert "the fork turns half of the rows into attacker games" in finding.found


def test_twins_across_the_split_make_figures_worthless(data: Path) -> None:
    finding = seen("data_heldout", data, heldout=data)

    assert finding.status is Status.FAILED
    assert "near-duplicates are in both sets" in finding.found
    assert "--heldout 0.1" in finding.mend


def test_a_run_without_held_out_notes_says_how_to_get_some(data: Path) -> None:
    finding = seen("data_heldout", data)
    assert (finding.status, "--heldout" in finding.mend) == (Status.SKIPPED, True)


def test_medec_s_validation_file_gives_638_records(medec_validation_csv: Path, tmp_path: Path) -> None:
    build_data_set(medec_validation_csv, tmp_path)
    config = config_of(tmp_path / "train.jsonl")
    filtered = replace(config, game=GameConfig(error_types=("dosage", "diagnosis", "management")))

    assert look("data_count", a_subject(config)).found == "638 records to play"
    # 27 pharmacotherapy, 86 diagnosis and 168 management cases, each twice.
    assert look("data_count", a_subject(filtered)).found.startswith(
        "562 records to play; game.error_types leaves out 76"
    )
