import json
import os
import shutil
from datetime import date
from pathlib import Path

import pytest

from builders import a_record
from command_lines import killed_when, told
from medical_team.config import TINY_RANDOM_MODEL, PolicyConfig, RolloutConfig, RunConfig
from medical_team.evaluation import crossplay, model_choice
from medical_team.jsonl import write_jsonl
from medical_team.policy.policy import Policy
from medical_team.records import DataType
from medical_team.runs.folder import RunFolder
from medical_team.runs.lock import exclusive_lock

CONFIG = RunConfig(
    policy=PolicyConfig(model=TINY_RANDOM_MODEL, lora_rank=2),
    rollout=RolloutConfig(max_prompt_tokens=4096, max_revision_tokens=8, max_verdict_tokens=4),
)


@pytest.fixture
def heldout(tmp_path: Path) -> Path:
    records = [
        a_record(kind, id=kind.value, note=note, error_note="A wrong note.", corrected_note="A right note.",
                 error_sentence="A wrong note.", corrected_sentence="A right note.")
        for kind, note in ((DataType.VANILLA_HARMFUL, "A wrong note."), (DataType.VANILLA_BENIGN, "A right note."))
    ]  # fmt: skip
    write_jsonl(tmp_path / "heldout.jsonl", records)
    return tmp_path / "heldout.jsonl"


@pytest.fixture
def a_run(tmp_path: Path) -> Path:
    run = RunFolder.create(tmp_path / "run", CONFIG, [a_record()])
    folder = run.checkpoints.path_of(10)
    Policy(CONFIG.policy, seed=1).save(folder / "policy")
    (folder / "checkpoint.json").write_text("{}")
    return run.path


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path):
    return told(capsys, "eval", "crossplay", *arguments)


def test_checkpoints_and_what_they_started_from_play_each_other(
    a_run: Path, heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, a_run, "--data", heldout, "--games", "2", "-o", tmp_path / "out")

    assert status == 0
    assert "1  tiny-random" in out
    assert "2  run/step-000010" in out
    assert "tiny-random attacks" in err
    content = json.loads((tmp_path / "out" / "crossplay.json").read_text(encoding="utf-8"))
    assert content["entrants"] == ["tiny-random", "run/step-000010"]
    assert len(content["cells"]) == 4
    assert (tmp_path / "out" / "crossplay.svg").read_text().startswith("<svg")
    assert len((tmp_path / "out" / "games.jsonl").read_text().splitlines()) == 8


def test_attackers_of_elsewhere_only_attack(
    a_run: Path, heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(
        capsys, a_run, "--attackers", TINY_RANDOM_MODEL, "--data", heldout, "--games", "2", "-o", tmp_path / "out"
    )

    assert status == 0
    assert "3  tiny-random (2)" in out
    content = json.loads((tmp_path / "out" / "crossplay.json").read_text(encoding="utf-8"))
    assert content["guests"] == ["tiny-random (2)"]
    assert len(content["cells"]) == 6


def test_one_model_alone_has_nobody_to_play(
    a_run: Path, heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, a_run, "--no-start", "--data", heldout, "-o", tmp_path / "out")

    assert status == 2
    assert "at least two models" in err


def test_a_run_without_a_checkpoint_is_named(
    a_run: Path, heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(a_run / "checkpoints")

    status, _, err = run(capsys, a_run, "--data", heldout, "-o", tmp_path / "out")

    assert status == 2
    assert "has no checkpoint yet" in err


def test_notes_that_a_run_was_trained_on_are_refused(
    a_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "seen.jsonl", [a_record(DataType.VANILLA_HARMFUL)])

    status, _, err = run(capsys, a_run, "--data", tmp_path / "seen.jsonl", "--games", "2", "-o", tmp_path / "out")

    assert status == 2
    assert "among the training data" in err


@pytest.mark.parametrize(("function", "call"), [("attacked", 2), ("assessed", 2), ("assessed", 3)])
def test_a_command_that_was_killed_goes_on_to_the_same_files(
    a_run: Path,
    heldout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    call: int,
) -> None:
    arguments = [a_run, "--data", heldout, "--games", "2", "-o"]
    _, expected, _ = run(capsys, *arguments, tmp_path / "whole")
    with monkeypatch.context() as patch:
        killed_when(patch, crossplay, function, call)
        assert run(capsys, *arguments, tmp_path / "out")[0] == 130
    assert not (tmp_path / "out").exists()
    made = {path.name for path in (tmp_path / "out.unfinished").glob("attacker-*")}
    assert len(made) == {"attacked": 0, "assessed": 2}[function] + call - 1

    status, out, _ = run(capsys, *arguments, tmp_path / "out")

    assert status == 0
    assert out.replace(str(tmp_path / "out"), str(tmp_path / "whole")) == expected
    assert not (tmp_path / "out.unfinished").exists()
    for name in ("crossplay.json", "crossplay.svg", "games.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_process_that_plays_the_same_is_named(
    a_run: Path, heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out.unfinished").mkdir()
    with exclusive_lock(tmp_path / "out.unfinished" / "lock"):
        status, _, err = run(capsys, a_run, "--data", heldout, "--games", "2", "-o", tmp_path / "out")

    assert status == 2
    assert f"is in use by process {os.getpid()}" in err


def test_a_command_that_is_done_tells_its_figures_again_and_another_is_refused(
    a_run: Path, heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [a_run, "--data", heldout, "--games", "2", "-o", tmp_path / "out"]
    first = run(capsys, *arguments)
    # As a process leaves it that is killed when its folder stands.
    (tmp_path / "out.unfinished").mkdir()

    again = run(capsys, *arguments)

    assert again[:2] == first[:2]
    assert "attacks" not in again[2]
    assert not (tmp_path / "out.unfinished").exists()
    status, _, err = run(capsys, *arguments, "--seed", "7")
    assert status == 2
    assert "is there already" in err


def test_a_command_that_is_done_tells_its_figures_again_on_another_day(
    a_run: Path, heldout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A model without a run is told today's date.
    arguments = [a_run, "--attackers", TINY_RANDOM_MODEL, "--data", heldout, "--games", "2", "-o", tmp_path / "out"]
    monkeypatch.setattr(model_choice, "today", lambda: date(2026, 3, 5))
    first = run(capsys, *arguments)
    monkeypatch.setattr(model_choice, "today", lambda: date(2026, 3, 6))

    assert run(capsys, *arguments)[:2] == first[:2]
    status, _, err = run(capsys, *arguments, "--prompt-date", "2026-03-06")
    assert status == 2
    assert "is there already" in err
