"""The service as its clients see it: over real sockets, through the real server."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE
from serving import WordJudge, judged, query, serving

from builders import a_record
from medical_team.data.formats import openrlhf_row
from medical_team.judge.client import RemoteJudge
from medical_team.judge.protocol import JudgeQuery
from medical_team.judging import reference_judge
from medical_team.prompts import assessor_prompt
from medical_team.records import DataType, Labels, Verdict


@pytest.fixture
def judge() -> WordJudge:
    return WordJudge()


@pytest.fixture
def client(judge: WordJudge) -> Iterator[httpx.Client]:
    with serving(judge) as client:
        yield client


@pytest.mark.parametrize("path", ["/judge", "/classify"])
def test_labels_are_a_full_list_in_the_order_of_the_queries(client: httpx.Client, path: str) -> None:
    labels = judged(client, "an error", "fine", "unclear", "crash", "another error", path=path)

    assert [label["game_idx"] for label in labels] == [0, 1, 2, 3, 4]
    assert [label["error_present"] for label in labels] == [True, False, None, None, True]
    assert [label["is_parsing_error"] for label in labels] == [False, False, True, True, False]
    assert [label["is_abstention"] for label in labels] == [False, False, True, False, False]
    assert all(label["judge"] == "word" and label["reason"] for label in labels)


def test_what_the_trainer_of_the_fork_sends_is_understood(client: httpx.Client) -> None:
    body = {"queries": [{"game_idx": 7, "prompt": "an error", "response": "Harmful"}], "prompts": None}

    (label,) = client.post("/judge", json=body).json()["labels"]

    assert (label["game_idx"], label["error_present"], label["error_detected"]) == (7, True, True)


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        ("Safe", "Safe"),
        ("harmful.", "Harmful"),
        ("Harmful</answer>", "Harmful"),
        ("it is Safe, I thought </think> <answer> Harmful </answer>", "Harmful"),
        ("<answer>Safe</answer>", "Safe"),
        ("no answer: Harmful </think>", None),
        ("Harmful? No.", None),
        ("", None),
    ],
)
def test_the_verdict_is_read_by_rule_and_thinking_is_dropped(
    client: httpx.Client, response: str, verdict: str | None
) -> None:
    (label,) = client.post("/judge", json={"queries": [query("an error", response)]}).json()["labels"]

    assert label["verdict"] == verdict
    assert label["error_detected"] == (None if verdict is None else verdict == "Harmful")
    assert label["error_present"] is True
    assert label["is_parsing_error"] is False


def test_two_queries_of_one_index_are_two_games(client: httpx.Client) -> None:
    body = {"queries": [query("an error", index="x"), query("fine", index="x")]}

    labels = client.post("/judge", json=body).json()["labels"]

    assert [(label["game_idx"], label["error_present"]) for label in labels] == [("x", True), ("x", False)]


def test_no_queries_no_labels(client: httpx.Client) -> None:
    assert client.post("/judge", json={"queries": []}).json() == {"labels": []}


def test_our_client_and_our_service_give_the_same_rulings_as_the_judge_itself() -> None:
    notes = [ERROR_NOTE, CORRECTED_NOTE, ERROR_NOTE.replace("10 mg", "100 mg"), "nonsense", "\u202e\u200b</note>", ""]
    queries = [
        JudgeQuery(f"{number}-{verdict}-{kind}", note, verdict, pair, kind)
        for number, note in enumerate(notes)
        for verdict in (Verdict.SAFE, Verdict.HARMFUL, None)
        for pair in (CASE, None)
        for kind in (DataType.ADVERSARIAL_HARMFUL,)
    ]
    queries = [JudgeQuery(str(number), *list(vars(query).values())[1:]) for number, query in enumerate(queries)]
    judge = reference_judge([CASE])
    with serving(judge) as client, RemoteJudge(str(client.base_url)) as remote:
        rulings = remote.rule(queries)

    assert any(isinstance(ruling, Labels) for ruling in rulings.values())
    assert rulings == judge.rule(queries)


def test_health_is_exactly_this_when_the_judge_is_loaded_and_503_before() -> None:
    loaded = threading.Event()

    def load() -> WordJudge:
        loaded.wait()
        return WordJudge()

    with serving(load, wait=False) as client:
        before = client.get("/health")
        refused = client.post("/judge", json={"queries": [query("a")]})
        not_ready = client.get("/ready")
        loaded.set()
        while client.get("/health").status_code != 200:
            time.sleep(0.01)
        after = client.get("/health")

    assert (before.status_code, before.json()) == (503, {"status": "loading", "model": "some/model"})
    assert refused.status_code == not_ready.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert after.json() == {"status": "healthy", "model": "some/model"}


def test_a_judge_at_work_does_not_keep_health_waiting(judge: WordJudge, client: httpx.Client) -> None:
    judge.gate.clear()
    asking = threading.Thread(target=judged, args=(client, "slow"))
    asking.start()
    while not judge.batches:
        time.sleep(0.001)

    with httpx.Client(base_url=client.base_url, trust_env=False) as other:
        assert other.get("/health").status_code == 200
        assert other.get("/info").json()["judge"] == "word"
    judge.gate.set()
    asking.join()


def test_too_much_at_once_gets_429_and_is_ready_again_later() -> None:
    judge = WordJudge()
    with serving(judge, max_waiting=2) as client:
        judge.gate.clear()
        threads: list[threading.Thread] = []
        for number in range(2):
            threads.append(threading.Thread(target=judged, args=(client, "a", f"b{number}")))
            threads[-1].start()
            while len(judge.batches) != 1 or (number and client.get("/ready").status_code == 200):
                time.sleep(0.001)

        refused = client.post("/judge", json={"queries": [query("c")]})
        judge.gate.set()
        for thread in threads:
            thread.join()

        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert client.get("/ready").json() == {"ready": True, "reason": ""}
        assert len(judged(client, "c")) == 1


def test_games_of_a_client_that_went_away_are_not_ruled_on(judge: WordJudge, client: httpx.Client) -> None:
    judge.gate.clear()
    asking = threading.Thread(target=judged, args=(client, "first"))
    asking.start()
    while not judge.batches:
        time.sleep(0.001)
    body = json.dumps({"queries": [query("nobody waits for this")]}).encode()
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(
            b"POST /judge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        while client.get("/info").json()["waiting"] == 0:
            time.sleep(0.001)
    while client.get("/info").json()["waiting"]:
        time.sleep(0.001)
    judge.gate.set()
    asking.join()

    judged(client, "last")
    assert judge.batches == [["first"], ["last"]]


def test_a_body_that_is_too_large_gets_413_whether_it_says_so_or_not() -> None:
    with serving(WordJudge(), max_body_bytes=1000) as client:
        body = json.dumps({"queries": [query("x" * 2000)]}).encode()
        said = client.post("/judge", content=body, headers={"Content-Type": "application/json"})
        unsaid = client.post(
            "/judge", content=iter([body[:900], body[900:]]), headers={"Content-Type": "application/json"}
        )

        assert said.status_code == unsaid.status_code == 413
        assert "1000 bytes" in said.json()["detail"]
        assert len(judged(client, "a")) == 1


def test_a_packed_body_gets_415_and_what_to_do(client: httpx.Client) -> None:
    body = gzip.compress(json.dumps({"queries": [query("a note")]}).encode())
    kind = {"Content-Type": "application/json"}

    refused = client.post("/judge", content=body, headers={**kind, "Content-Encoding": "gzip"})
    plain = client.post("/judge", content=gzip.decompress(body), headers={**kind, "Content-Encoding": "identity"})

    assert refused.status_code == 415
    assert refused.json()["detail"] == "the body is packed (Content-Encoding: gzip): send it as it is"
    assert plain.status_code == 200


def test_too_many_queries_get_413_and_4096_are_allowed_by_default(client: httpx.Client) -> None:
    assert len(judged(client, *["a"] * 4096)) == 4096
    refused = client.post("/judge", json={"queries": [query("a")] * 4097})

    assert refused.status_code == 413
    assert "at most 4096" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"game_idx": True}, ["body", "queries", 0, "game_idx"]),
        ({"game_idx": 2**53}, ["body", "queries", 0, "game_idx"]),
        ({"prompt": None}, ["body", "queries", 0, "prompt"]),
        ({"response": 7}, ["body", "queries", 0, "response"]),
        ({"data_type": "vanilla"}, ["body", "queries", 0, "data_type"]),
        ({"pair": {}}, ["body", "queries", 0, "pair"]),
        ({"game_idx": "a lone surrogate \ud800"}, ["body", "queries", 0, "game_idx"]),
    ],
)
def test_a_field_that_is_wrong_is_named_and_not_sent_back(
    client: httpx.Client, change: dict[str, object], where: list[object]
) -> None:
    body = json.dumps({"queries": [{**query("a note of somebody"), **change}]})

    refused = client.post("/judge", content=body, headers={"Content-Type": "application/json"})

    assert refused.status_code == 422
    assert all(problem["loc"][: len(where)] == where for problem in refused.json()["detail"])
    assert "somebody" not in refused.text


def test_half_a_character_spoils_nothing(client: httpx.Client) -> None:
    notes = ["an error \ud800", "fine", "\udc00 \U0001f600"]
    body = json.dumps({"queries": [query(note, note, index) for index, note in enumerate(notes)]})

    answer = client.post("/judge", content=body, headers={"Content-Type": "application/json"})

    labels = answer.json()["labels"]
    assert [label["error_present"] for label in labels] == [True, False, False]
    assert [label["reason"] for label in labels] == ["an error \ufffd", "fine", "\ufffd \U0001f600"]


def test_half_a_character_spoils_no_reward(reference_client: httpx.Client) -> None:
    prompts = [f"Is it right?\n<note>\n{note}\n</note>\n" for note in (ERROR_NOTE, "half of one: \ud83d")]
    body = json.dumps({"query": [f"{prompt}Harmful" for prompt in prompts], "prompts": prompts, "labels": None})

    answer = reference_client.post("/get_reward", content=body, headers={"Content-Type": "application/json"})

    assert answer.json()["rewards"] == [1, None]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_what_is_not_said_to_be_json_is_refused_since_any_web_page_could_send_it(
    client: httpx.Client, kind: str | None
) -> None:
    body = json.dumps({"queries": [query("a note")]})

    refused = client.post("/judge", content=body, headers={"Content-Type": kind} if kind else {})

    assert refused.status_code == 415
    assert "Content-Type: application/json" in refused.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"queries": 7}', b"\xff", b"[" * 100_000])
def test_what_is_no_request_gets_a_4xx_in_json(client: httpx.Client, body: bytes) -> None:
    refused = client.post("/judge", content=body, headers={"Content-Type": "application/json"})

    assert refused.status_code in (400, 422)
    assert refused.json()["detail"]


def test_a_request_that_never_arrives_gets_408() -> None:
    with serving(WordJudge(), body_seconds=0.2) as client:
        address = (client.base_url.host, client.base_url.port or 0)
        with socket.create_connection(address) as connection:
            connection.sendall(
                b"POST /judge HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            answer = connection.recv(100)

        assert b" 408 " in answer


def test_a_judge_that_takes_longer_than_a_header_may_is_waited_for() -> None:
    judge = WordJudge()
    judge.gate.clear()
    with serving(judge, body_seconds=0.2) as client, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(judged, client, "an error")
        time.sleep(0.6)
        judge.gate.set()

        assert pending.result()[0]["error_present"] is True
        # The connection is used again, long after its first header.
        assert judged(client, "fine")[0]["error_present"] is False


def test_with_a_token_only_who_knows_it_may_ask_but_everybody_may_see_health() -> None:
    with serving(WordJudge(), token="open sesame") as client:
        body = {"queries": [query("a")]}
        right = {"Authorization": "Bearer open sesame"}

        for path in ("/health", "/ready", "/openapi.json"):
            assert client.get(path).status_code == 200
        for wrong in ({}, {"Authorization": "Bearer open"}, {"Authorization": "Basic open sesame"}):
            refused = client.post("/judge", json=body, headers=wrong)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"] == "Bearer"
            assert client.get("/info", headers=wrong).status_code == 401
            assert client.get("/metrics", headers=wrong).status_code == 401
        assert client.post("/judge", json=body, headers=right).status_code == 200
        # The name of the scheme has no case, and some clients write it small.
        assert client.post("/judge", json=body, headers={"Authorization": "bearer  open sesame"}).status_code == 200
        with RemoteJudge(str(client.base_url), token="open sesame") as remote:
            remote.wait_until_ready()


def test_metrics_count_games_by_outcome_and_requests_by_path(client: httpx.Client) -> None:
    judged(client, "an error", "unclear", "crash")
    client.get("/an/invented/path")

    metrics = client.get("/metrics").text

    for outcome in ("decided", "abstained", "failed"):
        assert f'judge_games_total{{outcome="{outcome}"}} 1.0' in metrics
    assert 'judge_requests_total{path="/judge",status="200"} 1.0' in metrics
    assert 'judge_requests_total{path="other",status="404"} 1.0' in metrics
    assert "invented" not in metrics


def test_a_bug_is_a_500_that_tells_the_client_nothing(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(*_: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("medical_team.judge.service.app.label_of", trip)
    failed = client.post("/judge", json={"queries": [query("a")]})

    assert failed.status_code == 500
    assert "inside" not in failed.text


PROMPT = f"<|im_start|>user\n{assessor_prompt(ERROR_NOTE, style='short', is_thinking=False)}<|im_end|>\n<answer>"


def rewards(
    client: httpx.Client, *replies: str, prompt: str = PROMPT, labels: list[object] | None = None
) -> dict[str, Any]:
    body: dict[str, object] = {"query": [prompt + reply for reply in replies], "prompts": [prompt] * len(replies)}
    if labels is not None:
        body["labels"] = labels
    response = client.post("/get_reward", json=body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture(scope="module")
def reference_client() -> Iterator[httpx.Client]:
    with serving(reference_judge([CASE])) as client:
        yield client


def test_upstream_gets_the_assessor_s_reward(reference_client: httpx.Client) -> None:
    replies = ["Harmful</answer><|im_end|>", "Safe</answer><|im_end|>\n", "who knows", ""]

    told = rewards(reference_client, *replies)

    assert told["rewards"] == [1.0, -1.0, -1.0, -1.0]
    assert told["scores"] == told["rewards"]
    assert told["extra_logs"] == {"judge_failure": [0.0] * 4}


def test_upstream_s_label_tells_the_case(reference_client: httpx.Client) -> None:
    record = a_record(DataType.VANILLA_BENIGN)
    label = openrlhf_row(record).label

    told = rewards(reference_client, "Safe", "Harmful", prompt=f"Is it safe? {record.note} ", labels=[label, label])

    assert told["rewards"] == [1.0, -1.0]


@pytest.mark.parametrize("prompt", ["no note here", "<note>\nfever\n</note> <note>\ncough\n</note>", ""])
def test_where_the_judge_says_nothing_there_is_no_reward(reference_client: httpx.Client, prompt: str) -> None:
    told = rewards(reference_client, "Safe", prompt=prompt)

    assert told["rewards"] == [None]
    assert told["extra_logs"] == {"judge_failure": [1.0]}


def test_who_wants_a_number_for_failures_says_which() -> None:
    with serving(reference_judge(), failure_reward=0.0) as client:
        assert rewards(client, "Safe", prompt="no note here")["rewards"] == [0.0]


def test_lists_that_do_not_belong_together_are_refused(reference_client: httpx.Client) -> None:
    refused = reference_client.post("/get_reward", json={"query": ["a", "b"], "prompts": ["a"]})

    assert refused.status_code == 422
    assert "query has 2, prompts has 1" in refused.text
