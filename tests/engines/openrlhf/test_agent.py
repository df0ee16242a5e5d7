"""The agent with a rollout engine whose replies are scripted: what it plays, returns and saves."""

from __future__ import annotations

import asyncio
import copy
import math
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fault_server import fault_server, reset, status

from builders import CORRECTED_SENTENCE, a_record, present
from chat_templates import DATED_TEMPLATE, DAY, LIST_TEMPLATE, NEXT_DAY, set_clock
from medical_team.config import EngineConfig, JudgeConfig, PolicyConfig, RolloutConfig
from medical_team.engines.openrlhf.calls import LOG_KEYS
from medical_team.engines.openrlhf.game_files import GameFiles, PlayedGame
from medical_team.errors import EngineError
from medical_team.game.draw import GameDraw
from medical_team.game_config import OpponentConfig, OpponentSides
from medical_team.jsonl import to_line
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import make_async_judge
from medical_team.records import DataType, GameState, JudgeFailure, Labels, Role, Ruling, TrainingRecord
from openai_server import a_completion, openai_server
from openrlhf_rollouts import (
    LOG_PROB,
    TERSE,
    TOKENIZER,
    DoseJudge,
    Endless,
    RolloutEngine,
    SamplingParams,
    ScriptedVllm,
    a_run,
    an_agent,
    is_attacker_prompt,
    note_in,
    play_rows,
    played_games,
    playing,
    rows_of,
    siblings,
    thinking_aloud,
)
from stand_ins import always

ATTACKED = [a_record(DataType.ADVERSARIAL_HARMFUL)]
VANILLA = [a_record(DataType.VANILLA_HARMFUL)]


def play_one(
    tmp_path: Path,
    script: Callable[..., Any] = playing,
    records: list[TrainingRecord] = ATTACKED,
    n: int = 2,
    judge: Any = None,
    **sections: Any,
):
    run = a_run(tmp_path / "run", records, **sections)
    llm = ScriptedVllm(script)
    (samples,) = play_rows(an_agent(run, judge), llm, rows_of(run)[:1], n)
    return samples, played_games(run), llm


def texts_of(sample: dict[str, Any]) -> tuple[str, list[str]]:
    """The prompt of a sample and the parts of it that are trained."""
    tokens = sample["observation_tokens"]
    decode: Callable[[Any], Any] = cast("Any", TOKENIZER).decode
    first = min((start for start, _ in sample["action_ranges"]), default=len(tokens))
    return str(decode(tokens[:first])), [str(decode(tokens[start:end])) for start, end in sample["action_ranges"]]


class JudgeOf:
    """Rules as it is told, or raises."""

    name = "told"

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        return {query.game_id: self.answer(query) for query in queries}


def test_two_siblings_play_one_game_in_separate_contexts(tmp_path: Path) -> None:
    (attacker, assessor), (played,), _ = play_one(tmp_path)

    attacker_prompt, (revision,) = texts_of(attacker)
    assessor_prompt, (verdict,) = texts_of(assessor)
    assert is_attacker_prompt(attacker_prompt)
    assert note_in(assessor_prompt) in revision
    assert "Rewrite" not in assessor_prompt
    assert verdict == "Harmful<|im_end|>"
    assert played.game.state is GameState.DECIDED
    assert [attacker["reward"], assessor["reward"]] == [reward.total for reward in played.game.rewards] == [-0.5, 1.0]


def a_served_opponent(url: str, sides: OpponentSides) -> OpponentConfig:
    return OpponentConfig(fixed="frozen", url=url, sides=sides, share=1.0)


def completion_of(body: dict[str, Any]) -> Any:
    """The opponent plays as the policy of these tests does."""
    return a_completion(playing(body["messages"][-1]["content"]))


@pytest.mark.parametrize(("side", "learner"), [("attacker", Role.ASSESSOR), ("assessor", Role.ATTACKER)])
def test_against_a_served_opponent_each_call_returns_the_role_that_learns_of_a_game_of_its_own(
    tmp_path: Path, side: OpponentSides, learner: Role
) -> None:
    with openai_server(completion_of) as server:
        samples, played, llm = play_one(
            tmp_path, opponents=a_served_opponent(server.url, side), engine=EngineConfig(kind="openrlhf")
        )

    assert [item.game.spec.id for item in played] == ["step-000000-game-0000", "step-000000-game-0000-second"]
    assert len(server.bodies) == 2
    assert {body["model"] for body in server.bodies} == {"frozen"}
    assert {is_attacker_prompt(prompt) for prompt in llm.prompts} == {learner is Role.ATTACKER}
    for sample, item in zip(samples, played, strict=True):
        assert sample["extra_logs"][f"is_{learner.value}"] == 1.0
        assert sample["extra_logs"]["is_replacement"] == 0.0
        assert [reward.role for reward in item.game.rewards] == [learner]
        assert {turn.role.value: turn.version for turn in item.game.turns}[side] == "fixed"


def test_an_opponents_server_that_refuses_makes_void_games_with_its_reason(tmp_path: Path) -> None:
    with openai_server(lambda body: (401, {"error": "no token"})) as server:
        samples, played, _ = play_one(
            tmp_path, opponents=a_served_opponent(server.url, "attacker"), engine=EngineConfig(kind="openrlhf")
        )

    voids = [item.game for item in played if item.game.state is GameState.VOID]
    assert len(voids) == 2
    assert all("401" in game.reason for game in voids)
    assert [sample["extra_logs"]["is_replacement"] for sample in samples] == [1.0, 1.0]


def test_an_attacker_that_rewrites_sentences_sees_their_numbers_and_the_assessor_a_whole_note(tmp_path: Path) -> None:
    game = replace(TERSE, revision="sentences", max_edits=1)

    def editing(prompt: str) -> str:
        numbered = note_in(prompt).splitlines()
        if not numbered or not numbered[0].startswith("0: "):
            return playing(prompt)
        number = next(place for place, line in enumerate(numbered) if "A chest film shows" in line)
        return numbered[number].replace("A chest film shows", "On the chest film there is")

    (attacker, assessor), (played,), llm = play_one(tmp_path, editing, game=game)

    assert note_in(llm.prompts[0]).startswith("0: ")
    assert played.game.note == played.game.spec.seed_note.replace("A chest film shows", "On the chest film there is")
    assert note_in(texts_of(assessor)[0]) == played.game.note
    assert [attacker["reward"], assessor["reward"]] == [reward.total for reward in played.game.rewards] == [-0.5, 1.0]


def test_an_assessor_that_corrects_sees_numbers_and_is_paid_for_the_place_and_the_correction(tmp_path: Path) -> None:
    game, rollout = replace(TERSE, assessor="correct"), RolloutConfig(max_verdict_tokens=200)
    samples, games, llm = play_one(
        tmp_path, always(f"Harmful 1: {CORRECTED_SENTENCE}"), VANILLA, game=game, rollout=rollout
    )

    assert all(note_in(prompt).startswith("0: ") for prompt in llm.prompts)
    assert [(played.game.location, played.game.is_corrected) for played in games] == [(1, True)] * 2
    assert [sample["reward"] for sample in samples] == [2.0, 2.0]
    assert [sample["extra_logs"]["assessor_location"] for sample in samples] == [0.5, 0.5]


def test_the_assessor_never_sees_what_the_attacker_thought(tmp_path: Path) -> None:
    game = replace(TERSE, thinking=True)
    (_, assessor), (played,), _ = play_one(tmp_path, thinking_aloud(playing), game=game)

    assert "secret" in played.game.turns[0].thinking
    assert "secret" not in texts_of(assessor)[0]
    assert assessor["reward"] == 2.0


def test_a_vanilla_game_is_two_independent_assessors(tmp_path: Path) -> None:
    samples, played, _ = play_one(tmp_path, in_turn(["Harmful", "Safe"]), VANILLA)

    assert [sample["reward"] for sample in samples] == [1.0, -1.0]
    assert [item.game.spec.id for item in played] == ["step-000000-game-0000", "step-000000-game-0000-second"]
    assert all(item.game.turn_of(Role.ATTACKER) is None for item in played)


@pytest.mark.parametrize("n", [2, 4])
def test_each_call_returns_one_sample_in_the_order_attacker_assessor(tmp_path: Path, n: int) -> None:
    samples, played, _ = play_one(tmp_path, n=n)

    roles = ["attacker" if sample["extra_logs"]["is_attacker"] else "assessor" for sample in samples]
    assert roles == ["attacker", "assessor"] * (n // 2)
    assert len(played) == n // 2


def test_a_call_without_a_sibling_ends_the_run_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"--rollout\.n_samples_per_prompt 2"):
        play_one(tmp_path, n=1)


def test_rows_that_are_alike_make_games_of_their_own(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", ATTACKED, games_per_step=6)
    rows = rows_of(run)[:6]
    assert len(set(rows)) == 1

    samples = play_rows(an_agent(run), ScriptedVllm(), rows)

    assert all(pair[0]["extra_logs"]["is_attacker"] and pair[1]["extra_logs"]["is_assessor"] for pair in samples)
    assert [item.game.spec.id for item in played_games(run)] == [f"step-000000-game-{index:04d}" for index in range(6)]


def test_the_games_are_the_local_trainers_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", steps=3)
    training = run.config.training
    draw = GameDraw(run.training_records(), run.config.game, games_per_step=4, seed=training.seed)

    for start in range(0, 12, 4):
        play_rows(an_agent(run), ScriptedVllm(), rows_of(run)[start : start + 4])

    specs = [item.game.spec for item in played_games(run) if not item.game.spec.id.endswith("-second")]
    assert specs == [spec for step in range(3) for spec in draw.specs(step)]


def test_a_row_that_holds_a_record_is_played_as_it_is(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    record = a_record(DataType.ADVERSARIAL_BENIGN)
    row = replace(rows_of(run)[0], label=to_line(record))

    play_rows(an_agent(run), ScriptedVllm(), [row])

    assert [item.game.spec.record_id for item in played_games(run)] == [record.id]


def test_sampling_parameters_are_never_changed_and_each_role_has_its_own_limit(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", ATTACKED)
    llm = ScriptedVllm()
    params = SamplingParams(max_tokens=None)
    before = copy.deepcopy(params)

    asyncio.run(siblings(an_agent(run), llm, rows_of(run)[0], params=params))

    assert params == before
    limits = [run.config.rollout.max_revision_tokens, run.config.rollout.max_verdict_tokens]
    assert [asked.max_tokens for asked in llm.params] == limits


@pytest.mark.parametrize("asked", [None, 1])
def test_log_probs_are_saved_and_returned_when_they_are_asked_for(tmp_path: Path, asked: int | None) -> None:
    run = a_run(tmp_path / "run", ATTACKED)
    params = SamplingParams(logprobs=asked)

    attacker, _ = asyncio.run(siblings(an_agent(run), ScriptedVllm(), rows_of(run)[0], params=params))

    (played,) = played_games(run)
    assert played.game.turns[0].log_probs[:2] == (LOG_PROB, LOG_PROB - 1 / 64)
    if asked is None:
        assert attacker["rollout_log_probs"] is None
    else:
        prompt = len(played.game.turns[0].prompt_token_ids)
        assert attacker["rollout_log_probs"] == [0.0] * prompt + list(played.game.turns[0].log_probs)


def test_a_cut_reply_says_so(tmp_path: Path) -> None:
    (attacker, _), played, _ = play_one(tmp_path, lapse_once(playing, Endless("a note ")))

    assert attacker["truncated"]
    assert not first_of(played).game.turns[0].is_finished


def first_of(played: list[PlayedGame]) -> PlayedGame:
    """The game that was drawn; the others were played in its place."""
    return min(played, key=lambda item: item.game.spec.id)


def lapse_once(script: Callable[[str], str], lapse: str | Endless) -> Callable[[str], str | Endless]:
    """``script``, but for its first reply."""
    replies = iter([lapse])

    def reply(prompt: str) -> str | Endless:
        return next(replies, None) or script(prompt)

    return reply


def in_turn(replies: Iterable[Any]) -> Callable[[str], Any]:
    """One of ``replies`` after the other, whatever is asked."""
    left = iter(replies)

    def reply(prompt: str) -> Any:
        return next(left)

    return reply


def test_a_game_without_a_revision_teaches_the_attacker_and_another_game_the_assessor(tmp_path: Path) -> None:
    (attacker, assessor), played, _ = play_one(tmp_path, lapse_once(playing, "no"))

    assert first_of(played).game.state is GameState.NO_REVISION
    assert attacker["reward"] == -3.0
    assert attacker["extra_logs"]["is_replacement"] == 0.0
    assert texts_of(assessor)[1] == ["Harmful<|im_end|>"]
    assert assessor["extra_logs"]["is_replacement"] == 1.0
    assert [reward.role for reward in played[1].game.rewards] == [Role.ASSESSOR]


def test_a_tie_teaches_the_assessor_and_another_game_takes_the_attacker_s_place(tmp_path: Path) -> None:
    assess = lapse_once(playing, "Perhaps.")

    def reply(prompt: str) -> str | Endless:
        return playing(prompt) if is_attacker_prompt(prompt) else assess(prompt)

    samples, played, _ = play_one(tmp_path, reply)

    assert first_of(played).game.state is GameState.NO_VERDICT
    assert [sample["extra_logs"]["is_assessor"] for sample in samples] == [1.0, 1.0]
    assert [sample["extra_logs"]["is_replacement"] for sample in samples] == [1.0, 0.0]
    assert samples[1]["reward"] == -1.0


def abstaining(query: JudgeQuery) -> Ruling:
    return JudgeFailure(query.game_id, is_abstention=True, source="told", reason="can't tell")


def tripping(query: JudgeQuery) -> Ruling:
    raise RuntimeError("the judge tripped")


def failing(query: JudgeQuery) -> Ruling:
    return JudgeFailure(query.game_id, is_abstention=False, source="told", reason="no answer in time")


class JudgeAtFirst(JudgeOf):
    """Answers the first query as it is told, the others as the reference judge does."""

    async def rule(self, queries: Sequence[JudgeQuery]) -> Mapping[str, Ruling]:
        answer, self.answer = self.answer, None
        return await (JudgeOf(answer) if answer else DoseJudge()).rule(queries)


def test_what_a_working_judge_cannot_decide_teaches_the_attacker_and_another_game_the_assessor(tmp_path: Path) -> None:
    (attacker, assessor), played, _ = play_one(tmp_path, judge=JudgeAtFirst(abstaining))

    assert first_of(played).game.state is GameState.UNDECIDABLE
    assert attacker["reward"] == -3.0
    assert attacker["extra_logs"]["attacker_undecidable"] == 1.0
    assert assessor["extra_logs"]["is_replacement"] == 1.0
    assert assessor["reward"] == 1.0


@pytest.mark.parametrize(("answer", "reason"), [(failing, "no answer in time"), (tripping, "the judge tripped")])
def test_a_judges_failure_is_a_void_game_and_never_a_reward(
    tmp_path: Path, answer: Callable[..., Any], reason: str
) -> None:
    samples, played, _ = play_one(tmp_path, judge=JudgeAtFirst(answer))

    void = first_of(played).game
    assert void.state is GameState.VOID
    assert reason in void.reason
    assert void.rewards == ()
    assert len(void.turns) == 2
    assert [sample["extra_logs"]["is_replacement"] for sample in samples] == [1.0, 1.0]
    assert len({item.game.spec.id for item in played}) == len(played) == 3


def test_a_judge_that_goes_on_failing_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"a game and the 8 played in its place .*no answer in time"):
        play_one(tmp_path, judge=JudgeOf(failing))


@pytest.mark.parametrize("failing", ["attacker", "assessor"])
def test_an_engine_that_fails_makes_a_void_game_with_its_reason_on_the_disk(tmp_path: Path, failing: str) -> None:
    errors = iter([RuntimeError("out of memory")])

    def script(prompt: str):
        fails = is_attacker_prompt(prompt) is (failing == "attacker")
        return (next(errors, None) if fails else None) or playing(prompt)

    samples, played, _ = play_one(tmp_path, script)

    void = first_of(played).game
    assert void.state is GameState.VOID
    assert "out of memory" in void.reason
    assert len(void.turns) == (0 if failing == "attacker" else 1)
    assert all(sample["action_ranges"] for sample in samples)


def test_a_dead_engine_ends_the_run_at_once_with_its_name(tmp_path: Path) -> None:
    class EngineDeadError(Exception):
        pass

    dead = EngineDeadError("EngineCore encountered an issue")
    asked: list[str] = []

    def script(prompt: str) -> Exception:
        asked.append(prompt)
        return dead

    with pytest.raises(EngineError, match=r"the rollout engine died.*EngineDeadError: EngineCore"):
        play_one(tmp_path, script)
    assert len(asked) == 1


def test_one_vanilla_assessor_that_fails_is_replaced(tmp_path: Path) -> None:
    replies = [RuntimeError("out of memory"), *["Harmful"] * 2]
    samples, played, _ = play_one(tmp_path, in_turn(replies), VANILLA)

    assert [sample["reward"] for sample in samples] == [1.0, 1.0]
    assert [sample["extra_logs"]["is_replacement"] for sample in samples] == [1.0, 0.0]
    assert len(played) == 3


def test_numbers_that_are_not_finite_are_not_trained_on(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", ATTACKED)
    llm = ScriptedVllm()
    output = llm.output_of

    def broken(reply: str | Endless, params: SamplingParams) -> Any:
        result = output(reply, params)
        for entry in result.outputs[0].logprobs:
            for token in entry:
                entry[token] = SimpleNamespace(logprob=math.nan)
        return result

    llm.output_of = broken
    with pytest.raises(EngineError, match="left nothing to learn from"):
        play_rows(an_agent(run), llm, rows_of(run)[:1])

    assert {item.game.state for item in played_games(run)} == {GameState.VOID}


def test_where_no_game_can_be_saved_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(tmp_path / "run", ATTACKED)

    def full(self: GameFiles, played: PlayedGame) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GameFiles, "write", full)
    with pytest.raises(EngineError, match="No space left on device"):
        play_rows(an_agent(run), ScriptedVllm(), rows_of(run)[:1])


def test_a_row_of_another_data_set_ends_the_run_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path / "run")
    row = replace(rows_of(run)[0], label="42")

    with pytest.raises(EngineError, match="neither a ticket nor a record"):
        play_rows(an_agent(run), ScriptedVllm(), [row])

    assert "a call could not play: UsageError: a row's label is '42'" in capsys.readouterr().err


def test_prompts_that_do_not_fit_are_refused_before_generating(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", ATTACKED)
    row, llm, agent = rows_of(run)[0], ScriptedVllm(), an_agent(run)

    async def play():
        params = SamplingParams()
        calls = (agent.execute(row.input, row.label, params, 100, TOKENIZER, RolloutEngine(llm)) for _ in range(2))
        return await asyncio.gather(*calls)

    with pytest.raises(EngineError, match=r"data\.max_len is 100"):
        asyncio.run(play())

    assert llm.prompts == []
    reasons = [played.game.reason for played in played_games(run)]
    assert reasons
    assert all("--data.max_len is 100" in reason for reason in reasons)


def test_every_sample_has_the_same_metrics_all_numbers(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    replies = iter(["no", RuntimeError("broken"), *["Perhaps."] * 20])

    samples = play_rows(an_agent(run), ScriptedVllm(lambda prompt: next(replies)), rows_of(run)[:4])
    samples += play_rows(an_agent(run), ScriptedVllm(), rows_of(run)[:4])

    logs = [sample["extra_logs"] for pair in samples for sample in pair]
    assert {tuple(log) for log in logs} == {LOG_KEYS}
    assert all(type(value) is float for log in logs for value in log.values())
    assert not {"reward", "score", "scores", "kl", "return"} & set(LOG_KEYS)


def test_a_roles_mean_is_the_metrics_mean_by_that_of_its_flag(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")

    samples = [sample for pair in play_rows(an_agent(run), ScriptedVllm(), rows_of(run)[:4]) for sample in pair]

    logs = [sample["extra_logs"] for sample in samples]
    mean = {key: sum(log[key] for log in logs) / len(logs) for key in LOG_KEYS}
    rewards = [reward for item in played_games(run) for reward in item.game.rewards if reward.role is Role.ATTACKER]
    expected = sum(reward.total for reward in rewards) / len(rewards)
    assert mean["attacker_total"] / mean["is_attacker"] == pytest.approx(expected)


def test_an_evaluation_is_the_assessors_correctness_and_echoes_the_prompt(tmp_path: Path) -> None:
    heldout = [
        a_record(DataType.VANILLA_HARMFUL, near_duplicate_group="h"),
        a_record(DataType.VANILLA_BENIGN, near_duplicate_group="h"),
    ]
    game = replace(TERSE, thinking=True)
    run = a_run(tmp_path / "run", heldout=heldout, game=game)
    rows = rows_of(run, "heldout")
    llm = ScriptedVllm(thinking_aloud(lambda prompt: "Harmful"))

    samples = [sample for (sample,) in play_rows(an_agent(run), llm, rows, n=1)]

    assert [sample["reward"] for sample in samples] == [1.0, 0.0]
    assert [sample["prompt"] for sample in samples] == [row.input for row in rows]
    assert {params.temperature for params in llm.params} == {0.0}
    games = played_games(run)
    assert all(item.is_heldout for item in games)
    assert [item.game.spec.id for item in games] == ["heldout-000000-0000", "heldout-000000-0001"]


def test_an_evaluation_knows_after_which_step_it_happens(tmp_path: Path) -> None:
    heldout = [
        a_record(DataType.VANILLA_HARMFUL, near_duplicate_group="h"),
        a_record(DataType.VANILLA_BENIGN, near_duplicate_group="h"),
    ]
    run = a_run(tmp_path / "run", heldout=heldout)
    agent, llm = an_agent(run), ScriptedVllm()

    play_rows(agent, llm, rows_of(run)[:4])
    play_rows(agent, llm, rows_of(run, "heldout"), n=1)
    play_rows(agent, llm, rows_of(run)[4:])
    play_rows(agent, llm, rows_of(run, "heldout"), n=1)

    heldout_specs = [item.game.spec for item in played_games(run) if item.is_heldout]
    assert [spec.step for spec in heldout_specs] == [0, 0, 1, 1]
    assert len({spec.id for spec in heldout_specs}) == 4


def test_baselines_are_taken_off_and_stored_apart(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", ATTACKED, engine=EngineConfig(role_baselines=True), games_per_step=1)
    agent = an_agent(run)

    samples = [play_rows(agent, ScriptedVllm(), rows_of(run)[:1])[0] for _ in range(2)]
    samples += play_rows(an_agent(run), ScriptedVllm(), rows_of(run)[:1])

    baselines = [(present(item.attacker_baseline), present(item.assessor_baseline)) for item in played_games(run)]
    # b <- 0.95 b + 0.05 R, of -0.5 for the attacker and 1 for the assessor, also in another process
    assert baselines == [(0.0, 0.0), pytest.approx((-0.025, 0.05)), pytest.approx((-0.04875, 0.0975))]
    for pair, (attacker_baseline, assessor_baseline) in zip(samples, baselines, strict=True):
        assert [sample["reward"] for sample in pair] == pytest.approx([-0.5 - attacker_baseline, 1 - assessor_baseline])
    assert {reward.total for item in played_games(run) for reward in item.game.rewards} == {-0.5, 1.0}


def test_a_judge_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with fault_server() as server:
        judge = make_async_judge(JudgeConfig(kind="remote", url=server.url))
        server.faults.extend([reset, status(503)])

        samples, (played,), _ = play_one(tmp_path, judge=judge)

    assert played.game.state is GameState.DECIDED
    assert all(sample["action_ranges"] for sample in samples)


@pytest.mark.slow
def test_a_judge_that_is_restarted_in_mid_run_costs_no_game(tmp_path: Path) -> None:
    with fault_server() as server:
        port = server.server_port
        judge = make_async_judge(JudgeConfig(kind="remote", url=server.url))
    back = threading.Event()

    def restart() -> None:
        # The first connection is refused before this comes back.
        threading.Event().wait(1.0)
        with fault_server(port):
            back.wait()

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        samples, (played,), _ = play_one(tmp_path, judge=judge)
    finally:
        back.set()
        thread.join()

    assert played.game.state is GameState.DECIDED
    assert all(sample["action_ranges"] for sample in samples)


def test_processes_write_files_of_their_own_and_games_are_counted_once(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", games_per_step=8)
    first, second = an_agent(run), an_agent(run)

    play_rows(first, ScriptedVllm(), rows_of(run)[:4])
    play_rows(second, ScriptedVllm(), rows_of(run)[:4])

    names = [path.name for path in (run.path / "engine").glob("games-*.jsonl")]
    assert len(names) == 2
    assert all(name.startswith(f"games-{socket.gethostname()}-") for name in names)
    numbers = {item.game.spec.id.removesuffix("-second") for item in played_games(run)}
    assert len(numbers) == 8


def test_a_judges_labels_reach_the_saved_game(tmp_path: Path) -> None:
    _, (played,), _ = play_one(tmp_path)

    assert isinstance(played.game.ruling, Labels)
    assert played.game.ruling.source == "dose"


def test_a_template_that_asks_what_day_it_is_is_told_the_run_s_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch, NEXT_DAY)
    monkeypatch.setattr(TOKENIZER, "chat_template", DATED_TEMPLATE)

    samples, _, _ = play_one(tmp_path, policy=PolicyConfig(model="tiny-random", prompt_date=DAY.isoformat()))

    assert ["Today is 05 March 2026" in texts_of(sample)[0] for sample in samples] == [True, True]


def test_a_template_that_leaves_the_request_out_ends_the_run_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TOKENIZER, "chat_template", LIST_TEMPLATE)

    with pytest.raises(EngineError, match="the model's chat template leaves out"):
        play_one(tmp_path)

    assert "the model's chat template leaves out what a user's message says" in capsys.readouterr().err
