"""A model behind an OpenAI-compatible server, asked by real requests of a server that a test scripts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from medical_team.config import JudgeConfig
from medical_team.errors import JudgeError
from medical_team.judge.openai_scorer import Dialect, OpenAIScorer, connect_openai, scores_of
from medical_team.judge.questions import AnswerScores, ClosedQuestion, NoAnswer
from medical_team.openai_chat import ChatReply
from openai_server import Answer, a_completion, openai_server
from stand_ins import always

QUESTION = ClosedQuestion("Is it?\nA: Yes.\nB: No.", ("A", "B"))
ANSWERS = ("A", "B")


def token(text: str, **top: float) -> dict[str, Any]:
    likeliest = [{"token": name, "logprob": log_prob} for name, log_prob in top.items()]
    return {"token": text, "logprob": max(top.values(), default=0.0), "top_logprobs": likeliest}


def reply(text: str, *tokens: dict[str, Any]) -> ChatReply:
    return ChatReply(text, True, {"logprobs": {"content": list(tokens)}} if tokens else {})


def connect(url: str, **options: Any) -> OpenAIScorer:
    notify = options.pop("notify", always(None))
    return connect_openai(JudgeConfig(kind="openai", url=url, model="m", patience_seconds=0.5, **options), notify)


class TestReadingAReply:
    def test_log_probs_of_the_answer_s_token(self) -> None:
        assert scores_of(reply("A", token("A", A=-0.1, B=-2.5)), ANSWERS) == AnswerScores((-0.1, -2.5))

    def test_log_probs_inside_json(self) -> None:
        tokens = [token('{"'), token("answer"), token('":'), token(' "B', **{' "B': -0.2, ' "A': -1.7}), token('"}')]
        assert scores_of(reply('{"answer": "B"}', *tokens), ANSWERS) == AnswerScores((-1.7, -0.2))

    def test_spellings_of_one_answer_count_together(self) -> None:
        scores = scores_of(reply(" A", token(" A", **{" A": math.log(0.5), "A": math.log(0.25), "B": -3.0})), ANSWERS)
        assert isinstance(scores, AnswerScores)
        assert scores.log_probs[0] == pytest.approx(math.log(0.75))

    def test_an_answer_that_is_not_among_the_likeliest_is_at_most_as_likely_as_the_last(self) -> None:
        assert scores_of(reply("A", token("A", A=-0.01, The=-5.0, I=-6.0)), ANSWERS) == AnswerScores((-0.01, -6.0))

    def test_a_reply_that_begins_otherwise_still_tells_how_likely_each_answer_was(self) -> None:
        scores = scores_of(reply("The answer", token("The", The=-0.5, A=-2.0, B=-3.0), token(" answer")), ANSWERS)
        assert scores == AnswerScores((-2.0, -3.0))

    @pytest.mark.parametrize(
        "text",
        [
            "B",
            " b".upper(),
            "B.",
            "**B**",
            '"B"',
            "(B)",
            "B: No.",
            "B) No, it isn't.",
            '{"answer": "B"}',
            "hm </think> B",
        ],
    )
    def test_without_log_probs_the_answer_alone_counts(self, text: str) -> None:
        assert scores_of(reply(text), ANSWERS) == AnswerScores((-1.0, 0.0), is_calibrated=False)

    @pytest.mark.parametrize(
        "text",
        [
            *("", "A patient has", "A or B", "Yes", "AB", "C", "null", "[]", "[" * 100_000, "The answer is A: yes"),
            *('{"answer": "C"}', '{"answer": ["A"]}', '{"A": 1}', '{"answer": "A", "answer": "B"}'),
            *("A. B", "A: no, B", "**B.** or A", "A) B)", "A:\nB:", "B. Not A."),
        ],
    )
    def test_a_reply_that_is_no_answer_is_not_guessed_at(self, text: str) -> None:
        answer = scores_of(reply(text), ANSWERS)
        assert isinstance(answer, NoAnswer)

    def test_a_reply_that_names_both_answers_is_not_read_by_its_log_probs(self) -> None:
        tokens = [token("A", A=-0.1, B=-2.5), token("."), token(" B", **{" B": -0.1, " A": -2.5})]
        assert isinstance(scores_of(reply("A. B", *tokens), ANSWERS), NoAnswer)

    @pytest.mark.parametrize(
        "log_probs",
        [
            None,
            [],
            {"content": None},
            {"content": []},
            {"content": [{"token": "A"}]},
            {"content": [token("A")]},
            {"content": [{"token": "A", "top_logprobs": [{"token": "A", "logprob": "x"}]}]},
            {"content": [{"token": "A", "top_logprobs": [{"token": "A", "logprob": 10**400}]}]},
            {"content": [token("A", A=float("nan"), B=float("nan"))]},
        ],
    )
    def test_log_probs_that_make_no_sense_are_none(self, log_probs: object) -> None:
        scores = scores_of(ChatReply("A", True, {"logprobs": log_probs}), ANSWERS)
        assert scores == AnswerScores((0.0, -1.0), is_calibrated=False)


def understanding(
    dialect: Dialect, text: str = "A", *, refuses_choice: bool = True
) -> Callable[[dict[str, Any]], Answer]:
    """A server that refuses what is beyond ``dialect``, or takes the wish for a choice and doesn't heed it."""

    def answer(body: dict[str, Any]) -> Answer:
        if "structured_outputs" in body and dialect.has_choice:
            return a_completion(body["structured_outputs"]["choice"][0])
        if "structured_outputs" in body and refuses_choice:
            return 400, {"error": {"message": "structured_outputs is not supported"}}
        if "response_format" in body and not dialect.has_json_schema:
            return 400, {"error": {"message": "response_format is not supported"}}
        if "logprobs" in body and not dialect.has_log_probs:
            return 422, {"detail": "unexpected field logprobs"}
        return a_completion(text)

    return answer


@pytest.mark.parametrize(
    "dialect", [Dialect(True, True), Dialect(False, True), Dialect(True, False), Dialect(False, False)]
)
def test_what_a_server_refuses_it_is_not_asked_for(dialect: Dialect) -> None:
    with openai_server(understanding(dialect)) as server:
        scorer = connect(server.url)
        assert scorer.dialect == dialect
        server.bodies.clear()
        assert scorer.score([QUESTION]) == [AnswerScores((0.0, -1.0), is_calibrated=False)]

    (body,) = server.bodies
    assert ("response_format" in body, "logprobs" in body) == (dialect.has_json_schema, dialect.has_log_probs)
    assert body["temperature"] == 0
    assert body["messages"] == [{"role": "user", "content": QUESTION.prompt}]


def test_a_server_that_can_is_bound_to_the_allowed_answers() -> None:
    dialect = Dialect(False, True, has_choice=True)
    with openai_server(understanding(dialect)) as server:
        scorer = connect(server.url)
        assert scorer.dialect == dialect
        server.bodies.clear()
        scorer.score([QUESTION])

    (body,) = server.bodies
    assert body["structured_outputs"] == {"choice": list(QUESTION.answers)}
    assert "response_format" not in body


def test_a_server_that_takes_the_wish_for_a_choice_and_heeds_it_not_is_found_out() -> None:
    with openai_server(understanding(Dialect(True, True), refuses_choice=False)) as server:
        assert connect(server.url).dialect == Dialect(True, True)


def test_a_model_that_thinks_before_it_answers_has_room_for_that() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if {"structured_outputs", "logprobs"} & body.keys():
            return 400, {"error": {"message": "logprobs is not supported with this model"}}
        return a_completion("", "length") if body["max_tokens"] < 1000 else a_completion('{"answer": "A"}')

    with openai_server(answer) as server:
        scorer = connect(server.url)
        assert scorer.dialect == Dialect(True, False, is_thinking=True)
        assert scorer.score([QUESTION]) == [AnswerScores((0.0, -1.0), is_calibrated=False)]


def test_a_model_that_never_answers_gets_no_more_room_than_others() -> None:
    with openai_server(lambda body: a_completion("I can't tell.")) as server:
        scorer = connect(server.url)
        assert not scorer.dialect.is_thinking
        assert isinstance(scorer.score([QUESTION])[0], NoAnswer)


def test_what_a_newer_model_refuses_is_told_once() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if "temperature" in body:
            return 400, {"error": {"message": "Unsupported value: 'temperature' does not support 0 with this model."}}
        return understanding(Dialect(True, False))(body)

    told: list[str] = []
    with openai_server(answer) as server:
        connect(server.url, notify=told.append)
    assert sum("refuses temperature" in text for text in told) == 1


def test_a_server_without_log_probs_is_told_of() -> None:
    with_log_probs = {"logprobs": {"content": [token("A", A=-0.1, B=-2.5)]}, "message": {"content": "A"}}
    told: list[str] = []
    with openai_server(lambda body: (200, {"choices": [with_log_probs]})) as server:
        assert connect(server.url, notify=told.append).score([QUESTION]) == [AnswerScores((-0.1, -2.5))]
    assert told == []
    # as servers do that ignore what they don't know
    with openai_server(lambda body: a_completion("A")) as server:
        connect(server.url, notify=told.append)
    assert len(told) == 1
    assert "tells no log-probs: every note is asked about in 4 wordings" in told[0]


def test_the_schema_allows_the_answers_and_nothing_else() -> None:
    with openai_server(lambda body: a_completion('{"answer": "A"}')) as server:
        connect(server.url).score([ClosedQuestion("Which?", ("X", "Y", "Z"))])

    schema = server.bodies[-1]["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["answer"]["enum"] == ["X", "Y", "Z"]
    assert schema["additionalProperties"] is False


def test_many_questions_are_asked_at_once_and_answered_in_order() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        return a_completion("A" if "even" in body["messages"][0]["content"] else "B")

    with openai_server(answer) as server:
        scorer = connect(server.url, concurrency=8)
        asked = [
            ClosedQuestion(f"{number} is {'even' if number % 2 == 0 else 'odd'}", ("A", "B")) for number in range(40)
        ]
        scores = scorer.score(asked)

    assert [item.log_probs[0] == 0.0 for item in scores if isinstance(item, AnswerScores)] == [True, False] * 20


def test_a_question_that_the_server_refuses_spoils_no_other() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if "forbidden" in json.dumps(body):
            return 400, {"error": {"message": "a word in it is not allowed"}}
        return a_completion("A")

    with openai_server(answer) as server:
        scorer = connect(server.url)
        asked = [ClosedQuestion("forbidden" if number == 3 else f"{number}", ("A", "B")) for number in range(7)]
        scores = scorer.score(asked)

    assert [isinstance(item, AnswerScores) for item in scores] == [True] * 3 + [False] + [True] * 3
    refused = scores[3]
    assert isinstance(refused, NoAnswer)
    assert "a word in it is not allowed" in refused.reason


def test_a_question_beyond_the_context_has_no_answer() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        if "long" in body["messages"][0]["content"]:
            return 400, {"error": {"message": "This model's maximum context length is 8 tokens."}}
        return a_completion("A")

    with openai_server(answer) as server:
        long, short = connect(server.url).score([ClosedQuestion("long", ("A", "B")), QUESTION])

    assert isinstance(long, NoAnswer)
    assert isinstance(short, AnswerScores)


def test_a_server_that_goes_away_gives_no_answers() -> None:
    state = [a_completion("A")]
    with openai_server(lambda body: state[0]) as server:
        scorer = connect(server.url)
        state[0] = (503, {"error": "shutting down"})
        answers = scorer.score([QUESTION, QUESTION, QUESTION])
    assert [isinstance(answer, NoAnswer) for answer in answers] == [True] * 3


def test_a_server_that_is_not_there_is_told_before_anything_else() -> None:
    with openai_server(lambda body: a_completion("A")) as server:
        pass
    with pytest.raises(JudgeError, match=r"the judge's model can't be asked: .*chat/completions can't be asked"):
        connect(server.url)


def test_a_refused_token_is_told_with_the_variable_to_set() -> None:
    with (
        openai_server(lambda body: (401, {"error": "no"})) as server,
        pytest.raises(JudgeError, match="MEDICAL_TEAM_JUDGE_TOKEN"),
    ):
        connect(server.url)


def test_the_token_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    with openai_server(lambda body: a_completion("A")) as server:
        connect(server.url, token_variable="SOME_TOKEN")
    assert server.headers[0]["Authorization"] == "Bearer secret"


def test_a_server_beyond_this_machine_is_named_before_the_first_note_leaves() -> None:
    told: list[str] = []
    with pytest.raises(JudgeError):
        connect("http://judge.invalid:1/v1", notify=told.append)
    assert told[0].startswith("warning: notes and sentences of their cases are sent")
    assert "to the model at judge.invalid, beyond this machine" in told[0]
