"""Chat completions of servers that behave, and of those that answer oddly, as proxies, gateways and overloaded
machines do."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from medical_team import openai_chat
from medical_team.errors import EndpointError
from medical_team.openai_chat import ChatClient, ChatRefusal, ChatReply, ChatRequest
from openai_server import a_completion, openai_server


def ask(url: str, *prompts: str, patience_seconds: float = 5.0, **options: Any) -> list[ChatReply | ChatRefusal]:
    client = ChatClient(url, "some-model", patience_seconds=patience_seconds, **options)
    try:
        return client.complete([ChatRequest(prompt, max_tokens=8) for prompt in prompts])
    finally:
        client.close()


def texts_of(replies: Sequence[ChatReply | ChatRefusal]) -> list[str]:
    return [said(reply) for reply in replies]


def test_replies_come_in_the_order_of_the_requests() -> None:
    with openai_server(lambda body: a_completion(body["messages"][0]["content"].upper())) as server:
        replies = ask(server.url, *"abcdefgh", concurrency=4)

    assert texts_of(replies) == list("ABCDEFGH")


def test_a_request_says_what_is_wanted() -> None:
    with openai_server(lambda body: a_completion("Safe")) as server:
        client = ChatClient(server.url + "/", "some-model")
        client.complete([ChatRequest("A note.", 8, temperature=0.7, seed=3, options={"logprobs": True})])
        client.close()

    assert server.bodies == [
        {
            "model": "some-model",
            "messages": [{"role": "user", "content": "A note."}],
            "max_tokens": 8,
            "temperature": 0.7,
            "seed": 3,
            "logprobs": True,
        }
    ]


def test_a_token_comes_from_the_environment_and_is_not_sent_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    with openai_server(lambda body: a_completion("Safe")) as server:
        ask(server.url, "a", token_variable="SOME_TOKEN")
        ask(server.url, "a", token_variable="ANOTHER_TOKEN")

    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "Authorization" not in server.headers[1]


def test_a_reply_cut_at_the_limit_is_not_finished() -> None:
    with openai_server(lambda body: a_completion("Saf", finish_reason="length")) as server:
        (reply,) = ask(server.url, "a")

    assert isinstance(reply, ChatReply)
    assert not reply.is_finished


def test_a_reply_of_thinking_alone_is_empty() -> None:
    answer = 200, {"choices": [{"message": {"content": None, "reasoning_content": "Hm."}, "finish_reason": "length"}]}
    with openai_server(lambda body: answer) as server:
        replies = ask(server.url, "a")

    assert texts_of(replies) == [""]


def test_half_a_character_in_a_reply_is_a_mark_that_files_can_hold():
    with openai_server(lambda body: a_completion("1 \ud800 Safe \U0001f600")) as server:
        replies = ask(server.url, "a")

    assert texts_of(replies) == ["1 \ufffd Safe \U0001f600"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_server_is_asked_again(status: int) -> None:
    answers = itertools.chain([(status, {"error": "later"})], itertools.repeat(a_completion("Safe")))
    told: list[str] = []
    with openai_server(lambda body: next(answers)) as server:
        replies = ask(server.url, "a", notify=told.append)

    assert texts_of(replies) == ["Safe"]
    assert len(told) == 1
    assert f"status {status}: later" in told[0]


def test_a_prompt_that_is_too_long_is_refused_alone() -> None:
    def answer(body: dict[str, Any]):
        if body["messages"][0]["content"] == "long":
            return 400, {"error": {"message": "This model's maximum context length is 8 tokens."}}
        return a_completion("Safe")

    with openai_server(answer) as server:
        long, short = ask(server.url, "long", "short")

    assert isinstance(long, ChatRefusal)
    assert "maximum context length is 8" in long.reason
    assert texts_of([short]) == ["Safe"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, {"error": {"message": "bad key"}}), "refuses the token .*bad key.*SOME_TOKEN"),
        ((404, {"error": "no such model"}), "has no model 'some-model'"),
        ((400, {"error": "seed is not supported"}), "seed is not supported"),
        ((200, b"<html>"), "doesn't answer with chat completions"),
        ((200, {"choices": list[Any]()}), "doesn't answer with chat completions"),
        ((200, [1]), "doesn't answer with chat completions"),
        ((200, {"choices": [{"message": {"content": 5}}]}), "doesn't answer with chat completions"),
    ],
)
def test_what_stops_every_request_alike_is_an_error_that_says_what_to_do(
    answer: tuple[int, bytes | dict[str, Any] | list[int]], message: str
) -> None:
    with openai_server(lambda body: answer) as server, pytest.raises(EndpointError, match=message):
        ask(server.url, "a", "b", token_variable="SOME_TOKEN")


def newer_model(body: dict[str, Any]):
    """What OpenAI's newer models say of options that they don't take."""
    if "max_tokens" in body:
        problem = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        return 400, {"error": {"message": problem, "param": "max_tokens", "code": "unsupported_parameter"}}
    if "temperature" in body:
        problem = "Unsupported value: 'temperature' does not support 0. Only the default (1) is supported."
        return 400, {"error": {"message": problem, "param": "temperature", "code": "unsupported_value"}}
    return a_completion("Safe")


def test_options_that_a_newer_model_refuses_are_left_out_from_then_on() -> None:
    told: list[str] = []
    with openai_server(newer_model) as server:
        replies = ask(server.url, "a", "b", "c", concurrency=1, notify=told.append)

    assert texts_of(replies) == ["Safe"] * 3
    assert len(server.bodies) == 2 + 3
    assert server.bodies[-1]["max_completion_tokens"] == 8
    assert not {"max_tokens", "temperature"} & server.bodies[-1].keys()
    (sentence,) = told
    assert "refuses temperature 0.0" in sentence
    assert "drawn at random" in sentence


def test_a_limit_that_is_too_large_is_an_error_and_not_another_option() -> None:
    answer = 400, {"error": {"message": "max_tokens is too large: 8", "param": "max_tokens"}}
    with openai_server(lambda body: answer) as server, pytest.raises(EndpointError, match="max_tokens is too large"):
        ask(server.url, "a")


def told_once_of(message: dict[str, str | None], finish_reason: str) -> str:
    """The one sentence that is told of a server whose every reply is ``message``."""
    answer = 200, {"choices": [{"message": message, "finish_reason": finish_reason}]}
    told: list[str] = []
    with openai_server(lambda body: answer) as server:
        ask(server.url, "a", "b", concurrency=1, notify=told.append)
    (sentence,) = told
    return sentence


@pytest.mark.parametrize(
    ("message", "finish_reason", "problem"),
    [
        ({"content": "<think>\nHm."}, "stop", "its model's thinking as a part of the reply"),
        ({"content": "Hm.\n</think>\n\nSafe"}, "stop", "its model's thinking as a part of the reply"),
        ({"content": None, "reasoning_content": "Hm."}, "length", "empty replies that end at the limit"),
        ({"content": None, "reasoning_content": "Hm."}, "stop", "sends empty replies ("),
    ],
)
def test_thinking_in_the_way_of_the_answer_is_told_once_with_what_to_do(
    message: dict[str, str | None], finish_reason: str, problem: str
) -> None:
    sentence = told_once_of(message, finish_reason)

    assert problem in sentence
    assert "--reasoning-parser" in sentence


@pytest.mark.parametrize(
    ("message", "finish_reason", "problem"),
    [
        ({"content": None, "refusal": "I can't assist with that."}, "stop", "I can't assist"),
        ({"content": None}, "content_filter", "content_filter"),
        ({"content": ""}, "stop", "or ends at once"),
    ],
)
def test_why_a_reply_is_empty_is_told_once(message: dict[str, str | None], finish_reason: str, problem: str) -> None:
    sentence = told_once_of(message, finish_reason)

    assert problem in sentence


def test_thinking_that_has_used_up_the_tokens_is_an_empty_reply_and_stops_no_other() -> None:
    """The body of OpenAI's own answer."""
    refusal = (
        "Could not finish the message because max_tokens or model output limit was reached. Please try again with "
        "higher max_tokens."
    )
    error = {"error": {"message": refusal, "type": "invalid_request_error", "param": None, "code": None}}
    told: list[str] = []
    with openai_server(lambda body: (400, error)) as server:
        (reply,) = ask(server.url, "a", notify=told.append)

    assert reply == ChatReply("", False, {})
    assert "raise the limit on tokens" in told[0]


def test_a_server_of_plain_http_that_is_asked_by_https_is_told_so() -> None:
    with (
        openai_server(lambda body: a_completion("Safe")) as server,
        pytest.raises(EndpointError, match=r"does the server speak plain http://\?"),
    ):
        ask(server.url.replace("http://", "https://"), "a", patience_seconds=0.0)


def test_a_server_that_stays_away_is_given_up() -> None:
    with openai_server(lambda body: a_completion("Safe")) as server:
        url = server.url

    with pytest.raises(EndpointError, match="Is the server running"):
        ask(url, "a", patience_seconds=0.1)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://host/v1",
        "http://user:secret@host/v1",
        "ftp://user:secret@host/v1",
        "http://[::1/v1",
        "http://host:0/v1",
        "http://host:99999/v1",
    ],
)
def test_an_address_that_cannot_be_one_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(EndpointError, match=r"no address of a server|holds a user or a password") as caught:
        ask(url, "a")

    assert "secret" not in str(caught.value)


def said(reply: ChatReply | ChatRefusal) -> str:
    assert isinstance(reply, ChatReply)
    return reply.text


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, b"[" * 100_000), "doesn't answer with chat completions"),
        ((400, b"[" * 100_000), "refuses the request"),
        ((307, b""), "sends its callers on .*Give the address itself"),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_what_to_do(answer: tuple[int, bytes], message: str) -> None:
    with openai_server(lambda body: answer) as server, pytest.raises(EndpointError, match=message):
        ask(server.url, "a")


def test_an_address_with_a_query_is_no_base_of_an_api() -> None:
    with pytest.raises(EndpointError, match="leave out what follows"):
        ask("http://127.0.0.1/v1?api-version=1", "a")


def test_a_reply_in_parts_is_put_together() -> None:
    parts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Harm"}, {"type": "text", "text": "ful"}]
    answer = 200, {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}

    with openai_server(lambda body: answer) as server:
        (reply,) = ask(server.url, "a")

    assert said(reply) == "Harmful"


@contextlib.contextmanager
def raw_server(*pieces: bytes, pause: float = 0.0) -> Generator[str]:
    """A server that sends ``pieces``, with pauses between them, whatever it is asked."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_what_says_that_it_is_packed_and_is_not_is_waited_for_as_any_broken_answer() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n{}\n"

    with raw_server(answer) as url, pytest.raises(EndpointError, match=r"can't be asked .DecodingError"):
        ask(url, "a", patience_seconds=0.0)


def test_an_answer_that_drips_has_no_more_time_than_any_other() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

    with (
        raw_server(head, *[b" "] * 20, pause=0.05) as url,
        pytest.raises(EndpointError, match=r"no whole answer within 0\.2 seconds"),
    ):
        ask(url, "a", timeout_seconds=0.2, patience_seconds=0.0)


def test_a_server_that_says_at_once_and_stays_overloaded_is_not_asked_without_a_pause() -> None:
    # The scripted server sends Retry-After: 0 with this status.
    with openai_server(lambda body: (429, {})) as server, pytest.raises(EndpointError, match=r"waited for 0\.2"):
        ask(server.url, "a", patience_seconds=0.2)

    assert len(server.bodies) == 1


def test_waiting_for_days_ends_in_no_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_chat, "MAX_WAIT_SECONDS", 1e-6)
    answers = itertools.chain([(503, dict[str, Any]())] * 1100, itertools.repeat(a_completion("Safe")))

    with openai_server(lambda body: next(answers)) as server:
        (reply,) = ask(server.url, "a", patience_seconds=3600.0)

    assert said(reply) == "Safe"


def test_half_a_character_in_a_prompt_is_sent_as_a_mark() -> None:
    with openai_server(lambda body: a_completion(body["messages"][0]["content"])) as server:
        replies = ask(server.url, "a\ud800", "b")

    assert texts_of(replies) == ["a\ufffd", "b"]
