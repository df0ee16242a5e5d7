import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from builders import a_game, a_pair, a_record, a_spec
from medical_team.config import RunConfig
from medical_team.game_config import OpponentConfig
from medical_team.records import LIVING, DataType, Game, Verdict
from medical_team.report.listeners import AlarmListener, TensorBoardListener
from medical_team.runs.folder import RunFolder
from needs import TENSORBOARD
from report_runs import a_run


def test_an_alarm_is_told_once_however_long_it_is_up(tmp_path: Path) -> None:
    warnings: list[str] = []
    listener = AlarmListener(warnings.append)
    listener.run_started(RunFolder.open(a_run(tmp_path / "run", [])), 0)

    for step in range(3):
        listener.step_ended(step, [], {"disk/free_gib": 0.01})

    assert len(warnings) == 1
    assert "free on the run's disk" in warnings[0]


def test_a_resumed_run_knows_who_attacked_before(tmp_path: Path) -> None:
    def attack(step: int, number: int, version: str, *, has_won: bool) -> Game:
        kind, name = DataType.ADVERSARIAL_HARMFUL, f"step-{step}-game-{number}-{version}"
        pair = a_pair(near_duplicate_group=name)
        spec = a_spec(kind, id=name, step=step, pair=pair, attacker_version=version)
        game = a_game(kind, verdict=Verdict.SAFE if has_won else Verdict.HARMFUL, spec=spec)
        attacker, assessor = game.turns
        return replace(game, turns=(replace(attacker, version=version), assessor))

    def played(step: int) -> list[Game]:
        games = [attack(step, number, LIVING, has_won=number == 0) for number in range(4)]
        past = [attack(step, number, "step-000010", has_won=True) for number in range(4)]
        return games + past if step >= 10 else games

    config = RunConfig(opponents=OpponentConfig(add_every=10))
    run = RunFolder.create(tmp_path / "run", config, [a_record()])
    for step in range(20):
        run.append_games(played(step))
    warnings: list[str] = []

    listener = AlarmListener(warnings.append)
    listener.run_started(RunFolder.open(run.path), 20)
    listener.step_ended(20, played(20), {})

    assert len(warnings) == 1
    assert "The attacker step-000010 wins 100% of its games" in warnings[0]


def test_without_tensorboard_one_notice_and_on_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The innermost: another test may have imported it, and then it is found without the outer ones.
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    notices: list[str] = []

    listener = TensorBoardListener(notices.append)
    listener.run_started(RunFolder.open(a_run(tmp_path / "run", [])), 0)
    for step in range(3):
        listener.step_ended(step, [], {"policy/kl": 0.1})
    listener.run_ended()

    assert len(notices) == 1
    assert "not installed" in notices[0]
    assert "metrics.jsonl" in notices[0]


@pytest.mark.slow
def test_scalars_are_written_and_a_resume_hides_what_it_repeats(tmp_path: Path) -> None:
    TENSORBOARD.module("torch.utils.tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

    run = RunFolder.open(a_run(tmp_path / "run", []))

    def write(steps: range, value: float, first_step: int) -> None:
        listener = TensorBoardListener(pytest.fail)
        listener.run_started(run, first_step)
        for step in steps:
            listener.step_ended(step, [], {"policy/kl": value})
        listener.run_ended()

    write(range(4), 1.0, first_step=0)
    write(range(2, 4), 2.0, first_step=2)

    events = cast("Any", EventAccumulator(str(run.tensorboard_path)).Reload()).Scalars("policy/kl")
    assert [(event.step, event.value) for event in events] == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0)]


def test_importing_the_report_waits_for_no_torch() -> None:
    code = (
        "import sys, medical_team.report.listeners, medical_team.report.display, medical_team.metrics.step_metrics;"
        "sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
