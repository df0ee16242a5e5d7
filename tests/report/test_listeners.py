"""Listeners: alarms and TensorBoard; and trackers, scripted ones anywhere, the real ones where they are installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from builders import a_game, a_pair, a_record, a_spec
from medical_team.config import RunConfig, TrackerName, TrackingConfig
from medical_team.game_config import OpponentConfig
from medical_team.records import LIVING, DataType, Game, Verdict
from medical_team.report.listeners import (
    AlarmListener,
    TensorBoardListener,
    Tracker,
    TrackingListener,
    space_of,
    start_tracker,
)
from medical_team.runs.folder import RunFolder
from needs import TENSORBOARD, TRACKIO, WANDB
from report_runs import a_run, a_step


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
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

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


def a_tracked_run(path: Path, **tracking: Any):
    config = replace(RunConfig(), tracking=TrackingConfig(**tracking))
    return RunFolder.create(path, config, [a_record()])


def track(
    run: RunFolder, steps: list[Any] | range, said: list[Any], scripted: Scripted | None = None, first_step: int = 0
) -> None:
    """Tell a listener of ``steps``, with the games of each."""
    listener = TrackingListener(
        lambda text: said.append(("notice", text)),
        lambda text: said.append(("warn", text)),
        scripted.start if scripted is not None else start_tracker,
    )
    listener.run_started(run, first_step)
    for step in steps:
        listener.step_ended(step, a_step(step), {"policy/kl": step / 10})
    listener.run_ended()


@dataclass
class ScriptedTracker:
    config: TrackingConfig
    id: str
    said: list[Any]
    logged: list[Any] = field(default_factory=list[Any])
    error: Exception | None = None

    def log(self, step: int, metrics: Mapping[str, float], games: Sequence[Sequence[object]]) -> None:
        if self.error is not None:
            raise self.error
        self.logged.append((step, metrics, games))

    def finish(self) -> None:
        self.logged.append("finished")


@pytest.fixture
def said() -> list[Any]:
    return []


class Scripted(list[ScriptedTracker]):
    """Starts trackers, and keeps each with what was said before."""

    def __init__(self, said: list[Any]) -> None:
        self._said = said

    def start(self, name: TrackerName, run: RunFolder, run_id: str) -> Tracker:
        self.append(ScriptedTracker(run.config.tracking, run_id, list(self._said)))
        return self[-1]


@pytest.fixture
def scripted(said: list[Any]) -> Scripted:
    return Scripted(said)


def test_nobody_is_told_without_a_tracker_in_the_configuration(
    tmp_path: Path, scripted: Scripted, said: list[Any]
) -> None:
    track(a_tracked_run(tmp_path / "run"), range(2), said, scripted)

    assert (scripted, said) == ([], [])
    assert not (tmp_path / "run" / "tracking").exists()


def test_metrics_and_a_table_of_games_reach_each_tracker_and_none_of_them_is_online(
    tmp_path: Path, scripted: Scripted, said: list[Any]
) -> None:
    run = a_tracked_run(tmp_path / "run", trackers=("wandb", "trackio"), games_per_step=2)

    track(run, range(2), said, scripted)

    assert said == []
    for tracker in scripted:
        assert (tracker.config.online, space_of(tracker.config)) == (False, None)
        assert [entry[0] for entry in tracker.logged[:2]] == [0, 1]
        assert tracker.logged[0][1] == {"policy/kl": 0.0}
        assert [len(entry[2]) for entry in tracker.logged[:2]] == [2, 2]
        assert tracker.logged[2:] == ["finished"]


def test_a_table_holds_no_hidden_thinking(tmp_path: Path, scripted: Scripted, said: list[Any]) -> None:
    run = a_tracked_run(tmp_path / "run", trackers=("wandb",))
    listener = TrackingListener(pytest.fail, pytest.fail, scripted.start)
    listener.run_started(run, 0)
    listener.step_ended(0, a_step(0, thinking="a secret thought"), {})

    assert "a secret thought" not in json.dumps(scripted[0].logged)


def test_without_games_no_note_reaches_a_tracker(tmp_path: Path, scripted: Scripted, said: list[Any]) -> None:
    track(a_tracked_run(tmp_path / "run", trackers=("wandb",), games_per_step=0), range(1), said, scripted)

    assert scripted[0].logged[0][2] == []


def test_the_server_is_named_before_a_tracker_that_is_online_is_started(
    tmp_path: Path, scripted: Scripted, said: list[Any]
) -> None:
    online = {"trackers": ("wandb", "trackio"), "online": True, "space": "me/notes"}

    track(a_tracked_run(tmp_path / "run", **online), [], said, scripted)

    assert ["api.wandb.ai" in text for _, text in scripted[0].said] == [True]
    assert "huggingface.co" in scripted[1].said[-1][1]
    assert [kind for kind, _ in said] == ["warn", "warn"]
    assert "notes of games" in said[0][1]


def test_trackio_without_a_space_stays_here_and_says_so(tmp_path: Path, scripted: Scripted, said: list[Any]) -> None:
    track(a_tracked_run(tmp_path / "run", trackers=("trackio",), online=True), [], said, scripted)

    assert space_of(scripted[0].config) is None
    assert "tracking.space" in said[0][1]


def test_a_resumed_run_is_the_same_run_wherever_its_folder_lies(
    tmp_path: Path, scripted: Scripted, said: list[Any]
) -> None:
    run = a_tracked_run(tmp_path / "run", trackers=("wandb",))
    track(run, range(2), said, scripted)
    run.path.rename(tmp_path / "moved")
    track(RunFolder.open(tmp_path / "moved"), range(2, 3), said, scripted, first_step=2)

    assert len({tracker.id for tracker in scripted}) == 1


def test_one_that_fails_is_named_once_and_the_other_goes_on(
    tmp_path: Path, scripted: Scripted, said: list[Any]
) -> None:
    listener = TrackingListener(lambda text: said.append(("notice", text)), pytest.fail, scripted.start)
    listener.run_started(a_tracked_run(tmp_path / "run", trackers=("wandb", "trackio")), 0)
    scripted[0].error = OSError("disk full")
    for step in range(3):
        listener.step_ended(step, [], {"policy/kl": 0.1})

    assert said == [
        ("notice", "No wandb: it failed with OSError: disk full. The metrics are in metrics.jsonl all the same.")
    ]
    assert len(scripted[1].logged) == 3


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"../../x\n"])
def test_an_id_that_is_none_is_told_and_the_run_goes_on(
    tmp_path: Path, scripted: Scripted, said: list[Any], content: bytes
) -> None:
    run = a_tracked_run(tmp_path / "run", trackers=("wandb",))
    path = run.path / "tracking" / "id"
    path.parent.mkdir()
    path.write_bytes(content)

    track(run, range(2), said, scripted)

    assert scripted == []
    assert said == [
        (
            "notice",
            f"No wandb: {path} holds no id of a run: remove it, and trackers begin a new run at the next resume. "
            "The metrics are in metrics.jsonl all the same.",
        )
    ]


def test_a_file_in_the_place_of_the_trackers_folder_is_told_and_the_run_goes_on(
    tmp_path: Path, scripted: Scripted | None, said: list[Any]
) -> None:
    run = a_tracked_run(tmp_path / "run", trackers=("wandb",))
    (run.path / "tracking").write_text("notes")

    track(run, range(2), said, scripted)

    assert scripted == []
    assert len(said) == 1
    assert f"No wandb: can't write {run.path / 'tracking' / 'id'}" in said[0][1]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_one_that_is_not_installed_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[Any], name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)

    track(a_tracked_run(tmp_path / "run", trackers=(name,)), range(2), said)

    assert len(said) == 1
    assert "medical-team[tracking]" in said[0][1]


REAL = """
import sys
from pathlib import Path
from medical_team.report.listeners import TrackingListener
from medical_team.runs.folder import RunFolder
from report_runs import a_step

run, first, last = RunFolder.open(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
listener = TrackingListener(sys.exit, sys.exit)
listener.run_started(run, first)
for step in range(first, last):
    listener.step_ended(step, a_step(step), {"policy/kl": step / 10})
listener.run_ended()
"""


def in_a_process(repository: Path, run: RunFolder, first: int, last: int, **environment: Any) -> None:
    """What a tracker keeps for the life of a process must not reach other tests."""
    paths = os.pathsep.join([str(repository / "tests"), str(repository)])
    environment = {**os.environ, "PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", **environment}
    command = [sys.executable, "-c", REAL, str(run.path), str(first), str(last)]
    subprocess.run(command, check=True, env=environment, cwd=run.path)


@pytest.mark.slow
def test_weights_and_biases_keeps_a_resumed_run_offline_under_one_id(tmp_path: Path, repository: Path) -> None:
    WANDB.module("wandb")
    run = a_tracked_run(tmp_path / "run", trackers=("wandb",))
    in_a_process(repository, run, 0, 2, WANDB_MODE="online", WANDB_BASE_URL="http://127.0.0.1:9")
    in_a_process(repository, run, 2, 3)

    folders = sorted((run.path / "tracking" / "wandb").glob("offline-run-*"))
    tables = [path.read_text(encoding="utf-8") for path in (run.path / "tracking").rglob("*.table.json")]
    assert len(folders) == 2
    assert len({folder.name.rsplit("-", 1)[1] for folder in folders}) == 1
    assert len(tables) == 3
    assert a_record().note in json.loads(tables[0])["data"][0]


@pytest.mark.slow
def test_trackio_keeps_a_resumed_run_on_this_machine_whatever_the_environment_names(
    tmp_path: Path, repository: Path
) -> None:
    TRACKIO.module("trackio")
    run = a_tracked_run(tmp_path / "run", trackers=("trackio",), project="tests")
    kept = {"TRACKIO_DIR": str(tmp_path / "kept"), "TRACKIO_SPACE_ID": "somebody/public"}
    in_a_process(repository, run, 0, 2, **kept)
    in_a_process(repository, run, 2, 3, **kept)
    code = (
        "import json; from trackio.sqlite_storage import SQLiteStorage as kept\n"
        "runs = kept.get_runs('tests')\n"
        "print(json.dumps([[row['step'], row['policy/kl']] for run in runs for row in kept.get_logs('tests', run)]))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **kept}, check=True, capture_output=True, text=True
    ).stdout

    assert json.loads(told) == [[0, 0.0], [1, 0.1], [2, 0.2]]
