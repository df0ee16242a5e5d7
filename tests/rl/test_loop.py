"""Whole runs with every part scripted: the loop knows none of their kinds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from builders import a_game, a_record, a_revision_of
from medical_team.config import CheckpointConfig, PolicyConfig, RunConfig, TrainingConfig
from medical_team.errors import RunFolderError, TrainingError, VllmError
from medical_team.game.rollout import Reply, RolloutRequest
from medical_team.game_config import OpponentConfig, OpponentDrawing
from medical_team.judge.protocol import JudgeQuery
from medical_team.records import DataType, Game, GameState, JudgeFailure, Labels, Role, Ruling
from medical_team.rl.experience import WarmStart
from medical_team.rl.loop import restore_latest, train
from medical_team.rl.protocols import Experience, Learner, Listener, StepTimer
from medical_team.runs.checkpoints import POLICY_FOLDER, CheckpointInfo
from medical_team.runs.folder import RunFolder
from medical_team.samples import Update

STEPS, GAMES = 4, 8


@dataclass
class ScriptedRollout:
    """Attackers rewrite, assessors say Harmful; every event is written into one list."""

    events: list[str] = field(default_factory=list[str])

    def generate(
        self, requests: Sequence[RolloutRequest], on_progress: Callable[..., Any] | None = None
    ) -> list[Reply]:
        if requests:
            self.events.append(f"{requests[0].speaker.role.value}s speak")
        return [self._reply(request) for request in requests]

    def take_metrics(self) -> dict[str, float]:
        return {}

    def follow(self) -> None:
        self.events.append("follow")

    def set_past_versions(self, folders: Mapping[str, Path]) -> None:
        self.events.append(f"past selves {list(folders)}")
        self.past = {name: json.loads((folder / "learnt.json").read_text()) for name, folder in folders.items()}

    def rest(self) -> None: ...

    def close(self) -> None: ...

    @staticmethod
    def _reply(request: RolloutRequest) -> Reply:
        is_attacker = request.speaker.role is Role.ATTACKER
        text = a_revision_of(a_record().note) if is_attacker else "Harmful"
        return Reply(text, (1, 2), (3, request.seed % 5, 0), (-0.1, -0.2, -0.3), is_finished=True)


@dataclass
class CountingLearner:
    """Counts what it learnt from; its whole state is that number."""

    events: list[str]
    learnt: int = 0

    def learn(self, experience: Experience, step: int) -> Update:
        self.events.append(f"learn {len(experience.samples)}")
        self.learnt += len(experience.samples) + len(experience.demonstrations)
        count, rate = len(experience.samples), experience.learning_rate
        return Update(step, count, 0, 0.0, 0.0, 0.0, 0.0, 0.0, rate, (), demonstration_loss=1.0)

    def save(self, folder: Path) -> None:
        self.events.append("save")
        (folder / POLICY_FOLDER).mkdir(parents=True)
        (folder / "learnt.json").write_text(json.dumps(self.learnt))

    def save_policy(self, folder: Path) -> None:
        (folder / "learnt.json").write_text(json.dumps(self.learnt))

    def restore(self, folder: Path) -> None:
        self.learnt = json.loads((folder / "learnt.json").read_text())

    def export(self, folder: Path) -> None:
        self.events.append("export")
        (folder / "learnt.json").write_text(json.dumps(self.learnt))

    def device_metrics(self) -> Mapping[str, float]:
        return {"memory/peak_gib": 1.0}


@dataclass
class ScriptedJudge:
    """Finds an error in every note, or fails, as it is told."""

    events: list[str]
    is_failing: bool = False
    name: str = "scripted"

    def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        self.events.append("rule")
        return {query.game_id: self._ruling(query) for query in queries}

    def _ruling(self, query: JudgeQuery) -> Ruling:
        if self.is_failing:
            return JudgeFailure(query.game_id, False, "scripted", "it is away")
        return Labels(query.game_id, True, True, "scripted", "an error")


@dataclass
class Recorder(Listener):
    """Writes down what it is told, and can ask for a stop or raise after a step."""

    events: list[str]
    stop: Event | None = None
    stop_after: int | None = None
    raise_after: int | None = None

    def warn(self, text: str) -> None:
        self.events.append(f"warned: {text}")

    def run_started(self, run: RunFolder, first_step: int) -> None:
        self.events.append(f"started at {first_step}")

    def step_ended(self, step: int, games: Sequence[Game], metrics: Mapping[str, float]) -> None:
        self.events.append(f"step {step}: {len(games)} games")
        if self.stop is not None and step == self.stop_after:
            self.stop.set()
        if step == self.raise_after:
            raise OSError("no space left on device")

    def run_ended(self) -> None:
        self.events.append("ended")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    records = [a_record(data_type, id=f"{data_type.value}-{number}") for data_type in DataType for number in range(3)]
    config = RunConfig(
        training=TrainingConfig(steps=STEPS, games_per_step=GAMES), checkpoints=CheckpointConfig(save_every=2)
    )
    return RunFolder.create(tmp_path / "run", config.resolved, records)


def play(
    run: RunFolder,
    *listeners: Listener,
    stop: Event | None = None,
    is_failing: bool = False,
    events: list[Any] | None = None,
):
    events = [] if events is None else events
    learner = CountingLearner(events)
    judge = ScriptedJudge(events, is_failing)
    result = train(run, learner, ScriptedRollout(events), judge, list(listeners), stop=stop)
    return result, learner, events


def test_the_order_of_a_run(run: RunFolder) -> None:
    events: list[str] = []
    result, learner, events = play(run, Recorder(events), events=events)

    step = ["attackers speak", "assessors speak", "rule", f"learn {GAMES + GAMES // 2}", "follow"]
    told = [f"step {number}: {GAMES} games" for number in range(STEPS)]
    assert events == [
        "follow",
        "started at 0",
        *step, told[0],
        *step, told[1], "save",
        *step, told[2],
        *step, told[3], "save",
        "export",
        "ended",
    ]  # fmt: skip
    assert (result.is_finished, result.completed_steps) == (True, STEPS)
    assert len(list(run.games())) == STEPS * GAMES
    assert learner.learnt == json.loads((run.final_path / "learnt.json").read_text())


def test_a_stop_after_a_step_saves_and_the_resumed_run_ends_in_the_same_numbers(run: RunFolder, tmp_path: Path) -> None:
    whole, learner, _ = play(run)
    other = RunFolder.create(tmp_path / "other", run.config, run.training_records())
    stop = Event()

    first, _, _ = play(other, Recorder([], stop, stop_after=0), stop=stop)
    second, resumed, events = play(other, Recorder(events := []), events=events)

    assert (first.is_finished, first.completed_steps) == (False, 1)
    assert "started at 1" in events
    assert (second, resumed.learnt) == (whole, learner.learnt)
    assert list(other.games()) == list(run.games())


@pytest.mark.parametrize(
    ("marker", "said"), [(None, "has no checkpoint.json"), ('{"form', "is damaged"), ("[]", "is damaged")]
)
def test_a_last_checkpoint_that_is_not_whole_is_named_before_anything_changes(
    run: RunFolder, marker: str | None, said: str
) -> None:
    play(run)
    path = run.checkpoints.path_of(STEPS) / "checkpoint.json"
    path.unlink()
    if marker is not None:
        path.write_text(marker, encoding="utf-8")
    games = list(run.games())

    with pytest.raises(TrainingError, match=rf"step-000004.* {said}.*delete .*to go on"):
        play(run)

    assert list(run.games()) == games


def test_a_rollout_engine_that_dies_leaves_what_was_learnt(run: RunFolder) -> None:
    class Dying(ScriptedRollout):
        def generate(
            self, requests: Sequence[RolloutRequest], on_progress: Callable[..., Any] | None = None
        ) -> list[Reply]:
            if self.events.count("follow") == 2:
                raise VllmError("vLLM failed: out of memory.")
            return super().generate(requests, on_progress)

    learner = CountingLearner([])
    with pytest.raises(VllmError):
        train(run, learner, Dying(), ScriptedJudge([]))

    assert run.checkpoints.latest() == 1
    _, resumed, events = play(run, Recorder(events := []), events=events)
    assert "started at 1" in events
    assert resumed.learnt == STEPS * (GAMES + GAMES // 2)


def test_void_games_are_kept_and_nobody_learns_from_them(run: RunFolder) -> None:
    _, learner, _ = play(run, is_failing=True)

    assert {game.state for game in run.games()} == {GameState.VOID}
    assert learner.learnt == 0
    assert [metrics.values["void_share/all"] for metrics in run.metrics()] == [1.0] * STEPS


def test_a_listener_that_raises_is_dropped_and_told_to_the_others(run: RunFolder) -> None:
    events: list[str] = []
    broken = Recorder([], raise_after=1)

    result, _, _ = play(run, broken, Recorder(events))

    assert result.is_finished
    assert broken.events[-1] == f"step 1: {GAMES} games"
    assert events[-1] == "ended"
    assert [event for event in events if event.startswith("warned")] == [
        "warned: Recorder failed and is told nothing more of this run, which goes on: OSError: no space left on device"
    ]


def test_listeners_hear_the_end_of_a_run_that_an_error_cuts_short(run: RunFolder) -> None:
    class Diverging(CountingLearner):
        def learn(self, experience: Experience, step: int) -> Update:
            raise TrainingError("the gradient is nan")

    events: list[str] = []
    with pytest.raises(TrainingError):
        train(run, Diverging([]), ScriptedRollout(), ScriptedJudge([]), [Recorder(events)])

    assert events == ["started at 0", "ended"]
    assert len(list(run.games())) == GAMES


def test_a_warm_start_is_the_same_loop_with_another_source(run: RunFolder, tmp_path: Path) -> None:
    warm = RunFolder.create(tmp_path / "warm", run.config, run.training_records(), kind="warm-start")
    warm.change_steps(3)

    result, learner, events = play(warm)

    assert result.completed_steps == 3
    assert learner.learnt == 3 * run.config.warmstart.demonstrations_per_step
    assert "rule" not in events
    assert list(warm.games()) == []
    assert (
        WarmStart(warm).collect(0, StepTimer()).demonstrations == WarmStart(warm).collect(0, StepTimer()).demonstrations
    )


def a_run_with(path: Path, run: RunFolder, **sections: Any) -> RunFolder:
    """A run like ``run`` whose configuration has other ``sections``."""
    return RunFolder.create(path, replace(run.config, **sections), run.training_records())


def test_past_selves_join_before_the_games_that_they_may_play(run: RunFolder, tmp_path: Path) -> None:
    pool = a_run_with(tmp_path / "pool", run, opponents=OpponentConfig(add_every=1, size=3, share=1.0))

    _, _, events = play(pool)

    joined = [event for event in events if event.startswith("past")]
    assert joined == [
        "past selves []",
        "past selves ['step-000001']",
        "past selves ['step-000001', 'step-000002']",
        "past selves ['step-000002', 'step-000003']",
        "past selves ['step-000003', 'step-000004']",
    ]
    versions = [{game.spec.attacker_version, game.spec.assessor_version} - {"policy"} for game in pool.games()]
    assert {"reference"} == set().union(*versions[:GAMES])
    assert "step-000001" in set().union(*versions[GAMES : 2 * GAMES])
    for game in pool.games():
        for turn in game.turns:
            assert turn.version == game.spec.version_of(turn.role)
            assert turn.is_trained is (turn.version == "policy")
        rewarded = {reward.role for reward in game.rewards}
        assert all(turn.version == "policy" for turn in game.turns if turn.role in rewarded)


@pytest.mark.parametrize("drawing", ["uniform", "pfsp"])
def test_a_resumed_run_plays_the_same_opponents(run: RunFolder, tmp_path: Path, drawing: OpponentDrawing) -> None:
    opponents = OpponentConfig(add_every=1, size=3, share=0.8, draw=drawing)
    whole = a_run_with(tmp_path / "whole", run, opponents=opponents)
    other = a_run_with(tmp_path / "other", run, opponents=opponents)
    play(whole)
    stop = Event()
    play(other, Recorder([], stop, stop_after=1), stop=stop)
    # A killed process may have left a later self and later games behind.
    (other.path / "opponents" / "step-000003").mkdir()

    play(other)

    assert list(other.games()) == list(whole.games())
    kept = [sorted(path.name for path in (run.path / "opponents").iterdir()) for run in (whole, other)]
    assert kept[0] == kept[1]


def test_a_past_self_that_is_gone_is_named(run: RunFolder, tmp_path: Path) -> None:
    pool = a_run_with(tmp_path / "pool", run, opponents=OpponentConfig(add_every=1))
    stop = Event()
    play(pool, Recorder([], stop, stop_after=1), stop=stop)
    shutil.rmtree(pool.path / "opponents" / "step-000001")

    with pytest.raises(RunFolderError, match=r"the past self .*step-000001 is gone"):
        play(pool)


@pytest.mark.parametrize("wanted", [3, 20])
def test_a_step_learns_from_as_many_assessor_samples_as_are_wanted(run: RunFolder, tmp_path: Path, wanted: int) -> None:
    training = replace(run.config.training, assessor_samples_per_step=wanted)
    opponents = OpponentConfig(add_every=1, share=1.0, sides="assessor")
    matched = a_run_with(tmp_path / "matched", run, training=training, opponents=opponents)
    seen: list[int] = []

    class Counting(CountingLearner):
        def learn(self, experience: Experience, step: int) -> Update:
            seen.append(sum(sample.role is Role.ASSESSOR for sample in experience.samples))
            return super().learn(experience, step)

    train(matched, Counting([]), ScriptedRollout(), ScriptedJudge([]))

    assert seen == [wanted] * STEPS
    games = list(matched.games())
    assert len(games) == len({game.spec.id for game in games})
    # Half of the games, the vanilla ones, have an assessor who learns.
    assert len(games) == STEPS * GAMES if wanted == 3 else len(games) > STEPS * 1.5 * wanted


NOBODY = cast("Learner", None)
"""A learner that must not be asked."""


@pytest.fixture
def saved_run(tmp_path: Path) -> RunFolder:
    """A run with games and a checkpoint after its first step."""
    run = RunFolder.create(tmp_path / "run", RunConfig(policy=PolicyConfig(adaptation="full")), [a_record()])
    run.append_games([a_game()])
    checkpoint = run.checkpoints.path_of(1)
    checkpoint.mkdir(parents=True)
    CheckpointInfo(1, "full").write(checkpoint)
    return run


def test_a_checkpoint_that_was_renamed_is_not_taken_for_a_later_one(saved_run: RunFolder) -> None:
    saved_run.checkpoints.path_of(1).rename(saved_run.checkpoints.path_of(99))

    with pytest.raises(TrainingError, match=r"step-000099 holds the state after 1 steps.* its own name, step-000001"):
        restore_latest(saved_run, NOBODY)


def test_games_that_are_gone_are_told_before_the_run_goes_on(saved_run: RunFolder) -> None:
    (saved_run.path / "games.jsonl").unlink()

    with pytest.raises(TrainingError, match=r"games\.jsonl is gone.*make an empty file"):
        restore_latest(saved_run, NOBODY)
