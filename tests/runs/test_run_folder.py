import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import a_game, a_record, a_spec
from medical_team.config import DataConfig, RunConfig, TrainingConfig
from medical_team.errors import ConfigError, DataError, MedicalTeamError, OutputError, RunFolderError, TrainingError
from medical_team.records import DataType, TrainingRecord
from medical_team.runs.config_file import load_config
from medical_team.runs.folder import RunFolder, StepMetrics
from medical_team.runs.lock import RunState, traces_of

CONFIG = RunConfig(training=TrainingConfig(steps=4))
RECORDS = [a_record(data_type) for data_type in DataType]


def new_run(tmp_path: Path, **changes: Any):
    return RunFolder.create(tmp_path / "run", CONFIG, RECORDS, versions={"python": "3.11.9"}, **changes)


def game_of(step: int, **changes: Any):
    return a_game(spec=replace(a_spec(DataType.ADVERSARIAL_HARMFUL), step=step, id=f"{step}-0"), **changes)


def run_python(code: str, *arguments: str | Path):
    tests = str(Path(__file__).resolve().parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": tests},
    )


def test_a_new_run_holds_what_it_is_made_from(tmp_path: Path) -> None:
    run = new_run(tmp_path, heldout=RECORDS[:1])

    assert run.training_records() == RECORDS
    assert run.heldout_records() == RECORDS[:1]
    assert run.info.versions == {"python": "3.11.9"}
    assert run.info.created.endswith("+00:00")
    assert Path(run.config.data.train) == tmp_path / "run" / "data" / "train.jsonl"
    assert run.config.training == CONFIG.training
    assert list(run.games()) == []


def test_a_run_without_held_out_records(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", RunConfig(data=DataConfig(train="a", heldout="b")), RECORDS)

    assert run.config.data.heldout is None
    assert run.heldout_records() == []


def test_a_run_can_be_moved_and_its_configuration_reruns_it(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    moved = run.path.rename(tmp_path / "moved")

    config = load_config(moved / "config.toml")

    assert Path(config.data.train) == moved / "data" / "train.jsonl"
    assert RunFolder.open(moved).training_records() == RECORDS
    for file in moved.rglob("*"):
        assert file.is_dir() or str(tmp_path) not in file.read_text(encoding="utf-8")


def test_a_run_is_never_made_over_another(tmp_path: Path) -> None:
    new_run(tmp_path)

    with pytest.raises(RunFolderError, match="--resume"):
        new_run(tmp_path)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")

    with pytest.raises(RunFolderError, match=r"thesis\.tex"):
        new_run(tmp_path)

    (tmp_path / "run" / "thesis.tex").unlink()
    assert new_run(tmp_path).training_records() == RECORDS


def test_a_creation_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def records():
        yield RECORDS[0]
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        RunFolder.create(tmp_path / "run", CONFIG, records())  # type: ignore[arg-type] - records that end in an error

    assert list(tmp_path.iterdir()) == []


def test_a_place_taken_while_the_run_is_made_is_not_overwritten(tmp_path: Path) -> None:
    def records() -> Iterator[TrainingRecord]:
        yield from RECORDS
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.tex").write_text("years of work")

    with pytest.raises(RunFolderError, match=r"thesis\.tex"):
        RunFolder.create(tmp_path / "run", CONFIG, records())  # type: ignore[arg-type] - records that end in an error

    assert [entry.name for entry in tmp_path.rglob("*")] == ["run", "thesis.tex"]


def test_what_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run folder.*run\.json"):
        RunFolder.open(tmp_path)


def test_a_part_of_a_run_names_the_run(tmp_path: Path) -> None:
    run = new_run(tmp_path)

    for part in (run.path / "config.toml", run.path / "data"):
        with pytest.raises(RunFolderError, match=rf"{part} is a part of a run.*: {run.path}$"):
            RunFolder.open(part)


@pytest.mark.parametrize("kept_lines", [0, 20])
def test_a_configuration_that_was_copied_in_part_is_refused(tmp_path: Path, kept_lines: int) -> None:
    path = new_run(tmp_path).path / "config.toml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:kept_lines]), encoding="utf-8")

    with pytest.raises(ConfigError, match=r"not whole(.|\n)*missing: .*\[training\], .*\[checkpoints\]"):
        RunFolder.open(path.parent)


@pytest.mark.parametrize("fields", [{"format": 1, "model_source": "name"}, {"format": 99}], ids=["older", "newer"])
def test_a_run_of_another_format_names_the_version_that_wrote_it(tmp_path: Path, fields: dict[str, Any]) -> None:
    run = new_run(tmp_path)
    info = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    (run.path / "run.json").write_text(json.dumps(info | {"package_version": "9.9"} | fields), encoding="utf-8")

    with pytest.raises(RunFolderError, match=rf"format {fields['format']}, written by version 9\.9; this is version"):
        RunFolder.open(run.path)


def test_the_records_are_read_once(tmp_path: Path) -> None:
    run = new_run(tmp_path, heldout=RECORDS[:1])
    assert run.training_records() == RECORDS
    assert run.heldout_records() == RECORDS[:1]

    (run.path / "data" / "train.jsonl").unlink()
    (run.path / "data" / "heldout.jsonl").unlink()

    assert run.training_records() == RECORDS
    assert run.heldout_records() == RECORDS[:1]


@pytest.mark.parametrize("content", ["[" * 100_000, "", "[1]", "\ud800"])
def test_an_info_that_is_damaged_is_told(tmp_path: Path, content: str) -> None:
    run = new_run(tmp_path)
    (run.path / "run.json").write_bytes(content.encode(errors="surrogatepass"))

    with pytest.raises(RunFolderError, match=r"run\.json is damaged"):
        RunFolder.open(run.path)


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "tomorrow"])
def test_a_time_of_creation_that_no_calendar_has_is_passed_over(tmp_path: Path, created: str) -> None:
    run = new_run(tmp_path)
    info = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    (run.path / "run.json").write_text(json.dumps(info | {"created": created}), encoding="utf-8")

    assert RunFolder.open(run.path).training_records() == RECORDS


@pytest.mark.parametrize("process", [99999999999999999999, 0, -1])
def test_a_lock_of_an_odd_process_tells_no_lie(tmp_path: Path, process: int) -> None:
    run = new_run(tmp_path)
    (run.path / "lock").write_text(f"process {process} on {socket.gethostname()}\n", encoding="utf-8")

    assert traces_of(run, completed_steps=4).state is RunState.FINISHED


def test_games_and_metrics_come_back_in_order(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    games = [game_of(0), game_of(0, revision="µ \u2028 ?"), game_of(1)]

    run.append_games(games[:2])
    run.append_games(games[2:])
    run.append_heldout_games(games[:1])
    run.append_metrics(0, {"rewards/attacker": 0.25})

    assert list(run.games()) == games
    assert list(run.heldout_games()) == games[:1]
    assert list(run.metrics()) == [StepMetrics(0, {"rewards/attacker": 0.25})]


def test_a_text_without_utf8_does_not_end_a_run(tmp_path: Path) -> None:
    run = new_run(tmp_path)

    run.append_games([game_of(0, reason="\ud800")])

    assert [game.reason for game in run.games()] == ["?"]


def test_a_byte_order_mark_that_an_editor_put_before_the_info_is_no_damage(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    info = run.path / "run.json"
    info.write_bytes(b"\xef\xbb\xbf" + info.read_bytes())

    assert RunFolder.open(run.path).info == run.info


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.append_games([game_of(0), game_of(1)])
    path = run.path / "games.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"step": 1', '"step": "one"'), encoding="utf-8")

    with pytest.raises(DataError, match=r"games\.jsonl is damaged:\n  - line 2: spec\.step"):
        list(run.games())


def test_numbers_that_are_not_finite_are_never_written(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    game = game_of(0)

    with pytest.raises(TrainingError, match="policy/kl = nan"):
        run.append_metrics(3, {"policy/kl": float("nan"), "policy/loss": 1.0})
    with pytest.raises(TrainingError, match="0-0"):
        run.append_games([game, replace(game, turns=(replace(game.turns[0], log_probs=(float("-inf"),)),))])

    assert list(run.metrics()) == []
    assert list(run.games()) == []


def test_going_back_keeps_one_history_and_loses_nothing(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for step in range(4):
        run.append_games([game_of(step), game_of(step)])
        run.append_metrics(step, {"policy/kl": float(step)})
    run.append_heldout_games([game_of(1), game_of(3)])

    assert run.rewind(2) == 4 + 2 + 1

    assert [game.spec.step for game in run.games()] == [0, 0, 1, 1]
    assert [game.spec.step for game in run.heldout_games()] == [1]
    assert [line.step for line in run.metrics()] == [0, 1]
    abandoned = (run.path / "abandoned" / "games.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["spec"]["step"] for line in abandoned] == [2, 2, 3, 3]
    assert run.rewind(2) == 0

    run.append_games([game_of(2)])
    assert run.rewind(2) == 1
    assert len((run.path / "abandoned" / "games.jsonl").read_text(encoding="utf-8").splitlines()) == 5


def test_a_line_that_a_killed_process_left_half_written_is_moved_away(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.append_games([game_of(0)])
    path = run.path / "games.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])

    with pytest.raises(RunFolderError, match=r"half-written line.*--resume"):
        run.append_games([game_of(1)])
    with pytest.raises(DataError, match="line 2"):
        list(run.games())

    assert run.rewind(1) == 1
    run.append_games([game_of(1)])
    assert [game.spec.step for game in run.games()] == [0, 1]
    assert (run.path / "abandoned" / "games.jsonl").read_bytes() == whole[:50] + b"\n"


def test_going_back_over_a_damaged_line_stops(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    (run.path / "metrics.jsonl").write_text('{"step": 0, "values": {}}\n{"step": 1, "val\n', encoding="utf-8")

    with pytest.raises(DataError, match="line 2"):
        run.rewind(5)


def test_steps_out_of_order_are_damage(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for step in (0, 3, 1):
        run.append_metrics(step, {})

    with pytest.raises(DataError, match="line 3"):
        run.rewind(2)


HOLD_THE_LOCK = """
    import sys
    from pathlib import Path
    from medical_team.runs.folder import RunFolder
    with RunFolder.open(Path(sys.argv[1])).locked():
        print("locked", flush=True)
        sys.stdin.readline() if len(sys.argv) < 3 else __import__("time").sleep(60)
"""


def test_a_second_process_is_told_who_works_here(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    other = run_python(HOLD_THE_LOCK, run.path, "sleep")
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"

        with pytest.raises(RunFolderError, match=rf"in use by process {other.pid} on .*another folder"), run.locked():
            pass
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()

    with run.locked():
        assert str(os.getpid()) in (run.path / "lock").read_text(encoding="utf-8")
    assert (run.path / "lock").read_text(encoding="utf-8") == ""


def test_what_a_killed_save_left_is_cleared_away_with_the_lock(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    for name in (
        "checkpoints/.step-000010.x1_y2z3a",
        "checkpoints/.step-000005.deleted",
        "opponents/.step-000010.abcdefgh",
        ".final.abcdefgh.old",
    ):
        (run.path / name).mkdir(parents=True)
        (run.path / name / "weights").write_text("half")
    (run.path / "checkpoints" / ".best.json.abcdefgh").write_text("half")
    (run.path / ".notes").write_text("mine")

    with run.locked():
        hidden = [entry.name for entry in run.path.rglob(".*")]

    assert hidden == [".notes"]


FILL_THE_DISK = """
    import resource, sys
    from pathlib import Path
    from builders import a_game
    from medical_team.errors import OutputError
    from medical_team.runs.folder import RunFolder
    run = RunFolder.open(Path(sys.argv[1]))
    run.append_games([a_game()])
    length = (run.path / "games.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (length + 100, length + 100))
    try:
        run.append_games([a_game(), a_game()])
    except OutputError as error:
        print(error)
    else:
        sys.exit("no error")
    sys.exit((run.path / "games.jsonl").stat().st_size - length)
"""


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    run = new_run(tmp_path)

    process = run_python(FILL_THE_DISK, run.path)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 0, errors
    assert "can't write" in output
    assert "games.jsonl" in output
    assert len(list(run.games())) == 1


def test_lines_that_can_not_be_moved_stay(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.append_games([game_of(0), game_of(1)])
    (run.path / "abandoned").write_text("in the way")

    with pytest.raises(OutputError, match="abandoned"):
        run.rewind(1)

    assert len(list(run.games())) == 2


# What another version wrote.


def read_whole(path: Path):
    run = RunFolder.open(path)
    return [*run.games(), *run.metrics()]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("run.json", '"format"', '"colour": 1, "format"'),
        ("config.toml", "[training]", "[training]\ncolour = 1"),
        ("games.jsonl", '"spec"', '"colour": 1, "spec"'),
        ("metrics.jsonl", '"step"', '"colour": 1, "step"'),
    ],
)
def test_a_key_that_nobody_knows_is_named(tmp_path: Path, name: str, old: str, new: str) -> None:
    run = new_run(tmp_path)
    run.append_games([game_of(0)])
    run.append_metrics(0, {"seconds/step": 1.0})
    path = run.path / name
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")

    with pytest.raises(MedicalTeamError, match="colour"):
        read_whole(run.path)
