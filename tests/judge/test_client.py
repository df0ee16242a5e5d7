"""Both clients against a real server that fails in every way: no game is lost, none gets another's ruling, and no
failure is a label."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fault_server import (
    FaultServer,
    Handler,
    LabelList,
    changed,
    dripping,
    fault_server,
    half_closed,
    hanging,
    label_of,
    reset,
    status,
    text,
    truncated,
    well,
)
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE

from medical_team.errors import JudgeError
from medical_team.judge.client import RemoteJudge, base_url, privacy_warning
from medical_team.judge.protocol import JudgeQuery
from medical_team.records import DataType, JudgeFailure, Labels, Ruling, Verdict

QUERIES = [
    JudgeQuery("a", "a note with an error", Verdict.HARMFUL),
    JudgeQuery("b", "a good note", Verdict.SAFE),
    JudgeQuery("c", "another error", Verdict.SAFE),
    JudgeQuery("d", "another good note", None),
]
TRUTH = {"a": True, "b": False, "c": True, "d": False}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as server:
        yield server


def rule(url: str, queries: Sequence[JudgeQuery] = QUERIES, **options: Any) -> Mapping[str, Ruling]:
    with RemoteJudge(url, **options) as judge:
        return judge.rule(queries)


def truth_told(rulings: Mapping[str, Ruling]) -> dict[str, bool | None]:
    return {key: ruling.error_present if isinstance(ruling, Labels) else None for key, ruling in rulings.items()}


def test_each_game_gets_its_label(server: FaultServer) -> None:
    rulings = rule(server.url)

    assert truth_told(rulings) == TRUTH
    assert {key: ruling.reason for key, ruling in rulings.items()} == {query.game_id: query.note for query in QUERIES}
    assert [ruling.error_detected for ruling in rulings.values() if isinstance(ruling, Labels)] == [
        True,
        False,
        False,
        None,
    ]


@pytest.mark.parametrize(
    "fault",
    [
        *(reset, half_closed, truncated),
        *(status(code) for code in (408, 429, 500, 502, 503, 504)),
        status(429, b"{}", Retry_After="1"),
        status(503, b"not json", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
    ],
)
def test_what_can_succeed_is_tried_again(server: FaultServer, fault: Callable[..., Any]) -> None:
    server.faults.extend([fault, fault])

    assert truth_told(rule(server.url)) == TRUTH
    assert len(server.requests) == 3
    assert server.requests[0] == server.requests[1] == server.requests[2]


@pytest.mark.parametrize("code", [301, 400, 401, 403, 404, 405, 418])
def test_what_cannot_succeed_is_not_tried_again_and_fails_every_game(server: FaultServer, code: int) -> None:
    server.faults.append(status(code, b'{"detail": "no, thank you"}', Location="http://127.0.0.1:1/"))

    rulings = rule(server.url)

    assert len(server.requests) == 1
    assert all(isinstance(ruling, JudgeFailure) and not ruling.is_abstention for ruling in rulings.values())
    assert all("no, thank you" in ruling.reason and str(code) in ruling.reason for ruling in rulings.values())


@pytest.mark.parametrize(
    "body",
    [b"", b"garbage", b"[]", b"null", b'{"labels": {}}', b'{"labels": "all good"}', b"\xff\xfe", b"[" * 100_000],
)
def test_garbage_fails_every_game(server: FaultServer, body: bytes) -> None:
    server.faults.append(text(body))

    rulings = rule(server.url)

    assert truth_told(rulings) == dict.fromkeys(TRUTH)
    assert len(server.requests) == 1


def test_labels_belong_to_games_by_number_whatever_their_order(server: FaultServer) -> None:
    server.faults.append(changed(lambda labels: [labels[2], labels[0], labels[3], labels[1]]))

    assert truth_told(rule(server.url)) == TRUTH


def test_a_missing_label_fails_its_game_alone(server: FaultServer) -> None:
    server.faults.append(changed(lambda labels: labels[:1] + labels[2:]))

    assert truth_told(rule(server.url)) == {**TRUTH, "b": None}


def test_two_labels_of_a_game_fail_it_alone(server: FaultServer) -> None:
    server.faults.append(changed(lambda labels: [*labels, labels[0]]))

    assert truth_told(rule(server.url)) == {**TRUTH, "a": None}


def test_labels_of_unknown_games_are_nobody_s(server: FaultServer) -> None:
    others = [{**label_of({"game_idx": index, "prompt": "", "response": ""})} for index in (-1, 99, True, "0", None)]
    server.faults.append(changed(lambda labels: [*others, 7, None, *labels]))

    assert truth_told(rule(server.url)) == TRUTH


@pytest.mark.parametrize(
    "change",
    [
        {"error_present": "no"},
        {"error_present": 0},
        {"error_present": None},
        {"error_detected": False},
        {"is_parsing_error": "false"},
        {"is_parsing_error": None},
        {"verdict": "Perhaps"},
        {"confidence": 7},
    ],
)
def test_a_label_that_contradicts_itself_or_cannot_be_read_fails_its_game_alone(
    server: FaultServer, change: dict[str, object]
) -> None:
    server.faults.append(changed(lambda labels: [{**labels[0], **change}, *labels[1:]]))

    assert truth_told(rule(server.url)) == {**TRUTH, "a": None}


def test_an_abstention_stays_one(server: FaultServer) -> None:
    told = {"is_parsing_error": True, "is_abstention": True, "error_present": None, "reason": "can't tell"}
    server.faults.append(changed(lambda labels: [{**labels[0], **told}, *labels[1:]]))

    ruling = rule(server.url)["a"]

    assert ruling == JudgeFailure("a", is_abstention=True, source="script", reason="can't tell")


def test_a_late_reply_to_another_request_matches_nothing(server: FaultServer) -> None:
    with RemoteJudge(server.url) as judge:
        judge.rule(QUERIES)
        late = [label_of(query) for query in server.requests[0]["queries"]]
        server.faults.append(changed(lambda labels: late))

        assert truth_told(judge.rule(QUERIES)) == dict.fromkeys(TRUTH)


def test_a_game_that_the_service_cannot_read_fails_alone(server: FaultServer) -> None:
    def unread(handler: Handler, labels: LabelList) -> None:
        is_read = all(label["reason"] != "another error" for label in labels)
        (well if is_read else status(422, b'{"detail": "too long"}'))(handler, labels)

    server.always = unread

    rulings = rule(server.url)

    assert truth_told(rulings) == {**TRUTH, "c": None}
    assert "too long" in rulings["c"].reason


def test_half_a_character_in_a_note_is_sent_as_a_mark(server: FaultServer) -> None:
    queries = [*QUERIES, JudgeQuery("e", "a lone surrogate \ud800", Verdict.SAFE)]

    assert rule(server.url, queries)["e"].reason == "a lone surrogate \ufffd"


def test_a_request_that_is_too_large_is_halved(server: FaultServer) -> None:
    server.faults.extend([status(413), status(413)])

    assert truth_told(rule(server.url)) == TRUTH
    assert [len(request["queries"]) for request in server.requests] == [4, 2, 1, 1, 2]


def test_many_games_go_in_several_requests(server: FaultServer) -> None:
    queries = [JudgeQuery(str(number), f"note {number}", Verdict.SAFE) for number in range(25)]

    rulings = rule(server.url, queries, games_per_request=10)

    assert [ruling.reason for ruling in rulings.values()] == [query.note for query in queries]
    assert [len(request["queries"]) for request in server.requests] == [10, 10, 5]


@pytest.mark.parametrize("fault", [hanging(3), dripping])
def test_a_service_that_is_too_slow_gets_fewer_games_at_once(server: FaultServer, fault: Callable[..., Any]) -> None:
    told: list[str] = []
    server.faults.extend([fault, fault])

    rulings = rule(server.url, timeout_seconds=0.3, notify=told.append)

    assert truth_told(rulings) == TRUTH
    assert [len(request["queries"]) for request in server.requests] == [4, 4, 2, 2]
    assert len(told) == 1
    assert "judge.timeout_seconds" in told[0]


def test_the_run_pauses_while_the_judge_is_away_says_so_and_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told: list[str] = []
    paused = threading.Event()
    rulings: dict[str, Ruling] = {}

    def notify(sentence: str) -> None:
        told.append(sentence)
        paused.set()

    def run() -> None:
        rulings.update(rule(f"http://127.0.0.1:{port}", notify=notify))

    caller = threading.Thread(target=run)
    caller.start()
    assert paused.wait(60)
    assert not rulings
    with fault_server(port):
        caller.join()

    assert truth_told(rulings) == TRUTH
    assert len(told) == 2
    assert "doesn't answer" in told[0]
    assert "is paused" in told[0]
    assert "is back after" in told[1]


def test_when_patience_has_run_out_the_games_fail_and_the_next_ones_are_asked_again() -> None:
    told: list[str] = []
    with fault_server() as server:
        url, port = server.url, server.server_port
    rulings = rule(url, patience_seconds=0.5, notify=told.append)

    assert truth_told(rulings) == dict.fromkeys(TRUTH)
    assert "void" in told[-1]
    with fault_server(port):
        assert truth_told(rule(url)) == TRUTH


def test_calls_may_overlap(server: FaultServer) -> None:
    server.faults.extend([reset, status(500), hanging(0.3), truncated])

    with RemoteJudge(server.url) as judge, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(judge.rule, [QUERIES] * 8))

    assert all(truth_told(rulings) == TRUTH for rulings in answers)


def test_the_token_and_what_the_judge_may_know_are_sent_and_nothing_else(server: FaultServer) -> None:
    query = JudgeQuery("secret-id", ERROR_NOTE, Verdict.HARMFUL, CASE, DataType.ADVERSARIAL_HARMFUL)

    rule(server.url, [query], token="open sesame")

    (sent,) = server.requests[0]["queries"]
    assert server.headers[0]["Authorization"] == "Bearer open sesame"
    assert sent["prompt"] == ERROR_NOTE
    assert sent["response"] == "Harmful"
    assert sent["data_type"] == "adversarial_harmful"
    assert sent["pair"]["corrected_note"] == CORRECTED_NOTE
    assert "secret-id" not in str(server.requests)


def test_ready_waits_for_the_loading(server: FaultServer) -> None:
    server.health.extend([503, 503])
    told: list[str] = []

    with RemoteJudge(server.url, notify=told.append) as judge:
        judge.wait_until_ready()

    assert server.probes == 3
    assert len(told) == 1
    assert "loading" in told[0]


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (status(401, b'{"detail": "the bearer token is wrong"}'), "token_variable"),
        (status(404), "judge.url"),
        (text(b"<html>"), "no judge"),
        (status(301), "no judge"),
    ],
)
def test_what_is_no_judge_of_ours_is_found_out_at_the_start(
    server: FaultServer, fault: Callable[..., Any], hint: str
) -> None:
    server.always = fault

    with RemoteJudge(server.url) as judge, pytest.raises(JudgeError, match=hint):
        judge.wait_until_ready()


def test_no_judge_at_all_is_found_out_at_the_start() -> None:
    with fault_server() as server:
        url = server.url

    with RemoteJudge(url, patience_seconds=0) as judge, pytest.raises(JudgeError, match="judge serve"):
        judge.wait_until_ready()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/judge", "http://127.0.0.1:8000"),
        ("HTTP://[::1]:8000/classify/", "http://[::1]:8000"),
        ("https://example.org/medical/judge", "https://example.org/medical"),
    ],
)
def test_an_address_may_name_the_question(url: str, base: str) -> None:
    assert base_url(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "",
        "judge",
        "ftp://example.org",
        "http://",
        "http://h:99999",
        "http://u:p@h",
        "http://h?x=1",
        "http://[::1",
        "http://a b",
        "http://h:0",
    ],
)
def test_what_is_no_address_says_what_one_looks_like(url: str) -> None:
    with pytest.raises(JudgeError, match="address"):
        RemoteJudge(url)


@pytest.mark.parametrize(
    "url", ["http://me:secret@h", "ftp://me:secret@h", "http://me:secret@h:99999", "http://me:secret@[::1"]
)
def test_an_address_with_a_password_is_not_repeated_whatever_else_is_wrong_with_it(url: str) -> None:
    with pytest.raises(JudgeError, match="a user or a password") as caught:
        RemoteJudge(url)
    assert "secret" not in str(caught.value)


def test_a_judge_beyond_this_machine_is_named_and_one_on_it_is_not() -> None:
    assert privacy_warning("http://127.0.0.1:8000") is None
    assert privacy_warning("http://localhost:8000") is None
    assert privacy_warning("http://[::1]:8000") is None
    assert "unencrypted to the judge at judge.example.org" in (privacy_warning("http://judge.example.org") or "")
    assert "unencrypted" not in (privacy_warning("https://10.0.0.7") or "unencrypted")
    assert privacy_warning("http://localhost.example.org") is not None
