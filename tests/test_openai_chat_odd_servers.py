"""Servers that answer oddly, as proxies, gateways and overloaded machines do."""

import contextlib
import itertools
import socket
import threading
import time

import pytest

from medical_team import openai_chat
from medical_team.errors import EndpointError
from medical_team.openai_chat import ChatClient, ChatRefusal, ChatReply, ChatRequest
from openai_server import a_completion, openai_server


def ask(url, *prompts, **options):
    client = ChatClient(url, "some-model", **{"patience_seconds": 5.0, **options})
    try:
        return client.complete([ChatRequest(prompt, max_tokens=8) for prompt in prompts])
    finally:
        client.close()


def said(reply):
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
def test_what_is_no_answer_is_an_error_that_says_what_to_do(answer, message):
    with openai_server(lambda body: answer) as server, pytest.raises(EndpointError, match=message):
        ask(server.url, "a")


def test_an_address_with_a_query_is_no_base_of_an_api():
    with pytest.raises(EndpointError, match="leave out what follows"):
        ask("http://127.0.0.1/v1?api-version=1", "a")


def test_a_reply_in_parts_is_put_together():
    parts = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Harm"}, {"type": "text", "text": "ful"}]
    answer = 200, {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}

    with openai_server(lambda body: answer) as server:
        (reply,) = ask(server.url, "a")

    assert said(reply) == "Harmful"


@contextlib.contextmanager
def raw_server(*pieces, pause=0.0):
    """A server that sends ``pieces``, with pauses between them, whatever it is asked."""

    def serve():
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


def test_what_says_that_it_is_packed_and_is_not_is_waited_for_as_any_broken_answer():
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n{}\n"

    with raw_server(answer) as url, pytest.raises(EndpointError, match=r"can't be asked .DecodingError"):
        ask(url, "a", patience_seconds=0.0)


def test_an_answer_that_drips_has_no_more_time_than_any_other():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

    with (
        raw_server(head, *[b" "] * 20, pause=0.05) as url,
        pytest.raises(EndpointError, match=r"no whole answer within 0\.2 seconds"),
    ):
        ask(url, "a", timeout_seconds=0.2, patience_seconds=0.0)


def test_a_server_that_says_at_once_and_stays_overloaded_is_not_asked_without_a_pause():
    # The scripted server sends Retry-After: 0 with this status.
    with openai_server(lambda body: (429, {})) as server, pytest.raises(EndpointError, match=r"waited for 0\.2"):
        ask(server.url, "a", patience_seconds=0.2)

    assert len(server.bodies) == 1


def test_waiting_for_days_ends_in_no_overflow(monkeypatch):
    monkeypatch.setattr(openai_chat, "MAX_WAIT_SECONDS", 1e-6)
    answers = itertools.chain([(503, {})] * 1100, itertools.repeat(a_completion("Safe")))

    with openai_server(lambda body: next(answers)) as server:
        (reply,) = ask(server.url, "a", patience_seconds=3600.0)

    assert said(reply) == "Safe"


def test_a_prompt_that_is_no_unicode_is_refused_alone():
    with openai_server(lambda body: a_completion("Safe")) as server:
        odd, good = ask(server.url, "a\ud800", "b")

    assert isinstance(odd, ChatRefusal)
    assert said(good) == "Safe"
