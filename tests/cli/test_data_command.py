import json
import subprocess
import sys
from pathlib import Path

import pytest

from builders import a_record
from command_lines import told
from medec_csv import an_error_row, some_rows, write_csv
from medical_team.jsonl import write_jsonl
from writable_hub import Hub


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "medec.csv", some_rows(21))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path):
    return told(capsys, "data", *arguments)


def test_build_tells_what_lies_where_and_what_to_do_next(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "build", csv, "--heldout", "0.2", "--seed", "7", "-o", tmp_path / "data")

    assert (status, err) == (0, "")
    assert f"{tmp_path / 'data' / 'train.jsonl'}: 34 records of 17 error cases" in out
    assert "9 vanilla_harmful, 9 vanilla_benign, 8 adversarial_harmful, 8 adversarial_benign" in out
    assert f"{tmp_path / 'data' / 'heldout.jsonl'}: 8 records of 4 error cases" in out
    assert f"medical-team train --data.train {tmp_path / 'data' / 'train.jsonl'} --data.heldout" in out


def test_what_to_do_next_can_be_copied_where_a_folder_has_a_space(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, "build", csv, "-o", tmp_path / "my notes")

    assert status == 0
    assert f"medical-team train --data.train '{tmp_path / 'my notes' / 'train.jsonl'}'" in out


def test_notes_that_others_wrote_are_pushed_only_with_their_licence(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], hub: Hub
) -> None:
    arguments = ["build", csv, "--heldout", "0.2", "-o", tmp_path / "data", "--push", "me/notes"]

    status, _, err = run(capsys, *arguments)

    assert status == 2
    assert "are of medec and were not sent: name the licence" in err
    assert (hub.private, hub.files) == ({}, {})

    status, out, _ = run(capsys, *arguments, "--licence", "CC BY 4.0")

    assert status == 0
    assert f"{hub.url}/datasets/me/notes" in out
    assert hub.private == {"me/notes": True}
    sent = hub.files["me/notes"]
    assert sent.keys() == {"README.md", "train.jsonl", "heldout.jsonl", "data_card.json"}
    assert sent["train.jsonl"] == (tmp_path / "data" / "train.jsonl").read_bytes()
    assert sent["README.md"].startswith(b"---\nlicense: cc-by-4.0\n")


def test_synthetic_notes_are_pushed_without_further_ado(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], hub: Hub
) -> None:
    run(capsys, "synth", "--notes", "40", "-o", tmp_path / "synthetic.csv")

    status, *_ = run(capsys, "build", tmp_path / "synthetic.csv", "-o", tmp_path / "data", "--push", "me/notes")

    assert status == 0
    assert "train.jsonl" in hub.files["me/notes"]


def test_a_licence_without_a_push_is_refused_before_anything_is_written(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, "build", csv, "-o", tmp_path / "data", "--licence", "CC BY 4.0")

    assert status == 2
    assert "add --push OWNER/NAME" in err
    assert not (tmp_path / "data").exists()


def test_build_warns_of_refused_rows_and_of_too_few_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = write_csv(tmp_path / "medec.csv", [*some_rows(3), an_error_row(9, Error_Flag="typo")])

    status, out, _ = run(capsys, "build", csv, "--num-samples", "319", "--output", tmp_path / "data")

    assert status == 0
    assert "Warning: --num-samples asks for 319 error cases; all 3 are used." in out
    assert "Warning: 1 of 7 rows can't be used:\n  1 row: Error Flag is 'typo', expected a number: line" in out


def test_build_takes_the_checklists_names_of_error_types(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "build",
        csv,
        "--error-types",
        "dosage",
        "contraindication",
        "causal_organism",
        "-o",
        tmp_path / "data",
    ]

    status, *_ = run(capsys, *arguments)

    assert status == 0
    lines = (tmp_path / "data" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["error_type"] for line in lines} == {"pharmacotherapy", "causalOrganism"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vaildate", "x"], "Did you mean 'data validate'?"),
        (["build", "absent.csv", "-o", "data"], "absent.csv can't be read:"),
        (["build", "absent.csv", "-o", "data", "--heldout", "2"], "--heldout is 2.0"),
        (["validate", "absent.jsonl"], "No such file"),
        (["convert", "absent.jsonl", "-o", "out.jsonl"], "No such file"),
    ],
)
def test_what_the_user_can_mend_is_one_message_and_exit_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)

    status, out, err = run(capsys, *arguments)

    assert (status, out) == (2, "")
    assert err.startswith("medical-team data: ")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys)

    assert status == 2
    assert "medical-team data build FILE..." in out
    assert run(capsys, "--help")[0] == 0


def test_validate_counts_by_category(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(tmp_path / "train.jsonl", [a_record()])

    status, out, _ = run(capsys, "validate", tmp_path / "train.jsonl")

    assert status == 0
    assert "1 training records, no problem" in out
    assert "adversarial_harmful  1" in out


def test_validate_names_all_problems_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_jsonl(tmp_path / "train.jsonl", [a_record(), a_record(id="b", note="x"), a_record(id="c", note="y")])

    status, _, err = run(capsys, "validate", tmp_path / "train.jsonl")

    assert status == 2
    assert "2 problems in 3 lines of training records" in err
    assert "line 2: note" in err
    assert "line 3: note" in err


@pytest.mark.parametrize("engine", ["openrlhf", "red-team-fork"])
def test_what_convert_writes_validates(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], engine: str
) -> None:
    run(capsys, "build", csv, "-o", tmp_path / "data")

    status, *_ = run(capsys, "convert", tmp_path / "data" / "train.jsonl", "--to", engine, "-o", tmp_path / "out.jsonl")

    assert status == 0
    assert run(capsys, "validate", tmp_path / "out.jsonl")[0] == 0


def script(repository: Path, name: str, *arguments: int | str | Path, cwd: Path):
    # -I takes neither the current folder nor PYTHONPATH: only what the script itself puts on the path is found.
    command = [sys.executable, "-I", str(repository / "scripts" / name), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_checklists_two_commands_work_as_it_writes_them(repository: Path, csv: Path, tmp_path: Path) -> None:
    made = script(
        repository,
        "create_rl_training_data.py",
        *("--input", csv, "--output-dir", "data/medical_rl_training", "--num-samples", 319),
        cwd=tmp_path,
    )
    converted = script(
        repository,
        "convert_to_openrlhf_format.py",
        *("--input", "data/medical_rl_training/train.jsonl", "--output", "data/medical_openrlhf/train.jsonl"),
        cwd=tmp_path,
    )

    assert (made.returncode, converted.returncode) == (0, 0), made.stderr + converted.stderr
    rows = (tmp_path / "data/medical_openrlhf/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 42
    assert set(json.loads(rows[0])) == {"vanilla", "adversarial", "completion", "data_type"}


@pytest.mark.slow
def test_the_scripts_tell_errors_as_the_command_does(repository: Path, tmp_path: Path) -> None:
    absent = script(repository, "create_rl_training_data.py", "--input", "x.csv", "--output-dir", "d", cwd=tmp_path)
    wrong = script(repository, "convert_to_openrlhf_format.py", "--input", "x.csv", cwd=tmp_path)

    assert absent.returncode == wrong.returncode == 2
    assert "x.csv can't be read" in absent.stderr
    assert "Traceback" not in absent.stderr + wrong.stderr
    assert list(tmp_path.iterdir()) == []


def test_synthetic_notes_take_no_other_file_s_place(
    csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = csv.read_bytes()

    assert run(capsys, "synth", "--notes", "3", "-o", csv) == (
        2,
        "",
        f"medical-team data: {csv} is there and holds no synthetic notes; move it, or name another file\n",
    )
    assert csv.read_bytes() == before
    assert run(capsys, "synth", "--notes", "3", "-o", tmp_path / "own.csv")[0] == 0
    assert run(capsys, "synth", "--notes", "2", "-o", tmp_path / "own.csv")[0] == 0
    (tmp_path / "empty.csv").touch()
    assert run(capsys, "synth", "--notes", "2", "-o", tmp_path / "empty.csv")[0] == 0


def test_a_negative_seed_of_synthetic_notes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "synth", "--notes", "3", "--seed", "-1", "-o", tmp_path / "own.csv")

    assert (status, err) == (2, "medical-team data: --seed is -1, expected 0 or more\n")


@pytest.mark.parametrize("arguments", [("synth", "--notes", "2"), ("convert", "train.jsonl")])
def test_on_standard_output_stands_the_data_alone(arguments: tuple[str, ...], tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", [a_record()])
    command = [sys.executable, "-m", "medical_team", "data", *arguments, "-o"]
    to_file = subprocess.run([*command, "file"], cwd=tmp_path, check=True, capture_output=True)

    piped = subprocess.run([*command, "/dev/stdout"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([*command, "/dev/stdout"], cwd=tmp_path, check=True, stdout=out, timeout=60)

    assert to_file.stdout
    assert piped.stdout == (tmp_path / "out").read_bytes() == (tmp_path / "file").read_bytes()
    assert b"written" in piped.stderr
