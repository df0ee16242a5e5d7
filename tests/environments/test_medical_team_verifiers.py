"""The game in the real verifiers, against a served model that plays as the test scripts it, and against a real one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Protocol

import httpx
import pytest

from builders import a_pair, a_record, a_revision_of, a_spec, present
from medec_builders import ScriptedRollout
from medical_team.data.load import load_records
from medical_team.errors import UsageError
from medical_team.game.play import play, score
from medical_team.game_config import GameConfig, RolloutConfig
from medical_team.jsonl import write_jsonl
from medical_team.judge.protocol import JudgeQuery, rule_games
from medical_team.judging import reference_judge
from medical_team.prompts import attacker_prompt
from medical_team.records import DataType, Game, GameState, Role
from medical_team.runs.config_file import load_preset
from needs import MODEL_ENVIRONMENT, VERIFIERS
from openai_server import Answer, a_whole_completion, openai_server

VERIFIERS.module("verifiers.v1")
VERIFIERS.module("medical_team_verifiers")
loaders = VERIFIERS.module("verifiers.v1.utils.loaders")

import verifiers.v1 as vf  # noqa: E402

Config = Mapping[str, str | dict[str, str]]
"""The block that a configuration of verifiers, or of prime-rl, gives to an environment."""


class Environment(Protocol):
    """What verifiers makes of a configuration. Its own type leaves open what the tasks are."""

    @property
    def taskset(self) -> Iterable[vf.Task[vf.TaskData]]: ...

    def serving(self) -> AbstractAsyncContextManager[None]: ...

    async def run_episode(self, task: vf.Task[vf.TaskData], ctx: vf.ModelContext) -> vf.Episode[vf.TaskData]: ...


ATTACKER_PROMPTS = {
    attacker_prompt(spec.seed_note, spec.data_type, style="short", is_thinking=False): a_revision_of(spec.seed_note)
    for spec in (a_spec(DataType.ADVERSARIAL_HARMFUL), a_spec(DataType.ADVERSARIAL_BENIGN))
}

UNDECIDABLE = "This gentleman, aged 40, came with a cough. He went home with something for his chest, taken daily."


def environment_of(config: Config) -> Environment:
    return loaders.load_environment(loaders.resolve_env_config(config))


def reply_to(prompt: str, *, verdict: str = "Harmful", revision: str | None = None) -> str:
    if prompt in ATTACKER_PROMPTS:
        return ATTACKER_PROMPTS[prompt] if revision is None else revision
    return verdict


def answer_to(body: dict[str, Any], *, verdict: str = "Harmful", revision: str | None = None) -> Answer:
    return a_whole_completion(reply_to(body["messages"][0]["content"], verdict=verdict, revision=revision))


def config_for(folder: Path, data_types: Sequence[DataType], rules: str = "") -> Config:
    write_jsonl(folder / "train.jsonl", [a_record(data_type) for data_type in data_types])
    (folder / "run.toml").write_text(rules, encoding="utf-8")
    taskset = {"id": "medical-team-verifiers", "run": str(folder / "run.toml"), "data": str(folder / "train.jsonl")}
    return {"taskset": taskset}


def play_episodes(config: Config, url: str) -> list[vf.Episode[vf.TaskData]]:
    """One episode of each task, in their order."""
    environment = environment_of(config)
    context = vf.ModelContext(client=vf.EvalClientConfig(base_url=url, api_key_var="HERE_API_KEY"), model="m")

    async def run() -> list[vf.Episode[vf.TaskData]]:
        async with environment.serving():
            return [await environment.run_episode(task, context) for task in environment.taskset]

    return asyncio.run(run())


def trace_of(episode: vf.Episode[vf.TaskData], role: Role) -> vf.Trace[vf.TaskData] | None:
    return next((trace for trace in episode.traces if trace.agent.name == role.value), None)


def expected_game(data_type: DataType, *, verdict: str, revision: str | None) -> Game:
    """The same game by this program's own loop."""
    spec = replace(a_spec(data_type), id=a_record(data_type).id)
    rollout = ScriptedRollout(lambda request: reply_to(request.prompt, verdict=verdict, revision=revision))
    games = play([spec], rollout, GameConfig(), RolloutConfig(), seed=42)
    return score(rule_games(games, reference_judge(), GameConfig().undecidable), GameConfig())[0]


class FailingJudge:
    name = "failing"

    async def rule(self, queries: Sequence[JudgeQuery]) -> NoReturn:
        raise TimeoutError("away")


def a_failing_judge(*arguments: object) -> FailingJudge:
    return FailingJudge()


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE_API_KEY", "none")


@pytest.mark.parametrize("verdict", ["Harmful", "Safe", "Perhaps."])
@pytest.mark.parametrize("revision", [None, UNDECIDABLE, "No."])
def test_each_agent_gets_the_reward_that_our_own_loop_gives_it(
    tmp_path: Path, verdict: str, revision: str | None
) -> None:
    with openai_server(lambda body: answer_to(body, verdict=verdict, revision=revision)) as server:
        episodes = play_episodes(config_for(tmp_path, list(DataType)), server.url)

    assert [episode.ok for episode in episodes] == [True] * 4
    for data_type, episode in zip(DataType, episodes, strict=True):
        game = expected_game(data_type, verdict=verdict, revision=revision)
        for role in Role:
            trace, reward = trace_of(episode, role), game.reward_of(role)
            assert (trace is None) == (game.turn_of(role) is None)
            if trace is not None:
                assert trace.info["game"]["state"] == game.state.value
                assert trace.agent.trainable == (reward is not None)
                assert trace.reward == (reward.total if reward is not None else 0.0)


def test_the_assessor_reads_the_revision_and_replies_are_as_long_as_the_rules_say(tmp_path: Path) -> None:
    rules = "[rollout]\nmax_revision_tokens = 77\nmax_verdict_tokens = 5\n"
    with openai_server(answer_to) as server:
        play_episodes(config_for(tmp_path, [DataType.ADVERSARIAL_HARMFUL], rules), server.url)

    asked, read = server.bodies
    assert a_pair().error_note in asked["messages"][0]["content"]
    assert a_revision_of(a_pair().error_note) in read["messages"][0]["content"]
    assert a_pair().error_note not in read["messages"][0]["content"]
    assert [asked["max_tokens"], read["max_tokens"]] == [77, 5]


def test_a_void_game_teaches_nobody(tmp_path: Path) -> None:
    config = config_for(tmp_path, [DataType.ADVERSARIAL_HARMFUL], '[game]\nundecidable = "void"\n')
    with openai_server(lambda body: answer_to(body, revision=UNDECIDABLE)) as server:
        episode = play_episodes(config, server.url)[0]

    assert episode.ok
    assert [trace.info["game"]["state"] for trace in episode.traces] == [GameState.VOID.value] * 2
    assert [(trace.agent.trainable, trace.rewards) for trace in episode.traces] == [(False, {})] * 2
    assert [trace.metrics["void"] for trace in episode.traces] == [1.0, 1.0]


def test_a_judge_that_fails_makes_the_episode_an_error_and_no_reward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medical_team_verifiers.env.make_async_judge", a_failing_judge)
    with openai_server(lambda body: a_whole_completion("Harmful")) as server:
        episode = play_episodes(config_for(tmp_path, [DataType.VANILLA_HARMFUL]), server.url)[0]

    assert not episode.ok
    assert "the judge failed: TimeoutError: away" in episode.errors[0].message
    assert [trace.rewards for trace in episode.traces] == [{}]


def test_a_server_that_refuses_is_an_error_of_the_episode(tmp_path: Path) -> None:
    with openai_server(lambda body: (400, {"error": {"message": "no such model"}})) as server:
        episodes = play_episodes(config_for(tmp_path, [DataType.ADVERSARIAL_HARMFUL]), server.url)

    assert not episodes[0].ok
    assert "no such model" in json.dumps([error.message for error in episodes[0].traces[0].errors])


def test_no_limit_of_ours_ends_a_reply_that_waits_in_a_long_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[httpx.Timeout] = []

    class Client(httpx.AsyncClient):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            limits.append(self.timeout)

    monkeypatch.setattr("medical_team_verifiers.harness.httpx.AsyncClient", Client)
    with openai_server(lambda body: a_whole_completion("Harmful")) as server:
        play_episodes(config_for(tmp_path, [DataType.VANILLA_HARMFUL]), server.url)

    assert httpx.Timeout(None) in limits


def test_an_opponent_can_be_another_model(tmp_path: Path) -> None:
    with openai_server(answer_to) as server:
        config = {**config_for(tmp_path, [DataType.ADVERSARIAL_HARMFUL]), "attacker": {"model": "another"}}
        play_episodes(config, server.url)

    assert [body["model"] for body in server.bodies] == ["another", "m"]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("[game]\nthinkng = true\n", "thinkng"),
        ("[judge]\nvotes = 0\n", "judge.votes"),
        ('[judge]\nkind = "model"\nmodel = "a/b"\n', "judge.kind is model, .* name reference"),
    ],
)
def test_bad_rules_are_told_when_the_environment_is_made(tmp_path: Path, rules: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        environment_of(config_for(tmp_path, [DataType.VANILLA_BENIGN], rules))


def test_tasks_of_another_game_are_refused_by_what_to_set() -> None:
    with pytest.raises(UsageError, match="HarborTaskset, which are not of this game: set taskset"):
        environment_of({"id": "medical-team-verifiers", "taskset": {"id": "harbor"}})


@pytest.fixture
def demo_policy(repository: Path) -> Iterator[Callable[[str, int], str]]:
    """What the demo policy says to a prompt; it speaks in a process of the environment that has torch."""
    python = repository / ".venv" / "bin" / "python"
    if not python.exists():
        MODEL_ENVIRONMENT.skip()
    worker = subprocess.Popen(
        [python, repository / "tests" / "environments" / "demo_speaker.py"],
        env=os.environ | {"PYTHONPATH": str(repository)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    lock = threading.Lock()
    question, answer = present(worker.stdin), present(worker.stdout)

    def reply(prompt: str, max_tokens: int) -> str:
        with lock:
            question.write(json.dumps({"prompt": prompt, "max_tokens": max_tokens}) + "\n")
            question.flush()
            return json.loads(answer.readline())

    with contextlib.closing(question):
        yield reply
    worker.wait()


def test_a_real_model_plays_and_gets_the_rewards_of_our_own_loop(
    tmp_path: Path, repository: Path, demo_policy: Callable[[str, int], str]
) -> None:
    records = [record for record in load_records("demo") if record.data_type.is_adversarial][:6]
    rules = (repository / "medical_team" / "presets" / "demo.toml").read_text(encoding="utf-8")
    preset = load_preset("demo")
    said: dict[str, str] = {}

    def answer(body: dict[str, Any]) -> Answer:
        prompt = body["messages"][0]["content"]
        said[prompt] = demo_policy(prompt, body["max_tokens"])
        return a_whole_completion(said[prompt])

    config = config_for(tmp_path, [], rules)
    write_jsonl(tmp_path / "train.jsonl", records)
    with openai_server(answer) as server:
        episodes = play_episodes(config, server.url)

    specs = [
        replace(a_spec(record.data_type, pair=record.pair), id=record.id, record_id=record.id) for record in records
    ]
    games = play(specs, ScriptedRollout(lambda request: said[request.prompt]), preset.game, preset.rollout, seed=42)
    scored = score(rule_games(games, reference_judge(), preset.game.undecidable), preset.game)
    assert [episode.ok for episode in episodes] == [True] * len(records)
    assert GameState.DECIDED in {game.state for game in scored}
    for game, episode in zip(scored, episodes, strict=True):
        for role in Role:
            trace, reward = trace_of(episode, role), game.reward_of(role)
            assert (trace is None) == (game.turn_of(role) is None)
            if trace is not None and reward is not None:
                assert trace.reward == reward.total
