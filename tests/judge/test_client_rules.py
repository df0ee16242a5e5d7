"""What a client decides, with scripted replies and a clock that runs only while it sleeps: no waiting, no network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from fault_server import label_of
from hypothesis import given
from hypothesis import strategies as st

from medical_team.errors import JudgeError
from medical_team.judge.client import NoReply, RemoteJudge, Reply, Trouble
from medical_team.judge.protocol import JudgeQuery
from medical_team.records import JudgeFailure, Labels, Ruling, Verdict

REFUSED = NoReply(Trouble.AWAY, "connection refused")
SLOW = NoReply(Trouble.SLOW, "no whole answer")

Service = Callable[[str, bytes], "Reply | NoReply"]
"""Answers what is sent to a path."""


def good_reply(path: str, body: bytes) -> Reply:
    if path == "/health":
        return Reply(200, b"{}")
    return Reply(200, json.dumps({"labels": [label_of(query) for query in json.loads(body)["queries"]]}).encode())


def healthy_but(judging: Service) -> Service:
    return lambda path, body: Reply(200, b"{}") if path == "/health" else judging(path, body)


class World(RemoteJudge):
    """A service, a client of it, and the time."""

    def __init__(self, service: Service, *, patience_seconds: float = 600, games_per_request: int = 10) -> None:
        self.told: list[str] = []
        super().__init__(
            "http://judge",
            games_per_request=games_per_request,
            patience_seconds=patience_seconds,
            notify=self.told.append,
        )
        self.service: Service = service
        self.passed = 0.0
        self.sent: list[str] = []
        self.judged: list[int] = []
        """How many games each request held."""

    def rule_on(self, *notes: str) -> Mapping[str, Ruling]:
        return self.rule([JudgeQuery(note, note, Verdict.SAFE) for note in notes])

    def now(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.passed += seconds

    def ask(self, path: str, body: bytes | None, seconds: float) -> Reply | NoReply:
        self.sent.append(path)
        if body:
            self.judged.append(len(json.loads(body)["queries"]))
        outcome = self.service(path, body or b"")
        # Even a refusal takes a moment.
        self.passed += seconds if outcome is SLOW else 0.001
        return outcome


def decided(rulings: Mapping[str, Ruling]) -> list[str]:
    return [key for key, ruling in rulings.items() if isinstance(ruling, Labels)]


def test_a_healthy_service_that_always_fails_is_given_up_soon() -> None:
    world = World(healthy_but(lambda path, body: Reply(500, b"oh no")))

    rulings = world.rule_on("a", "b")

    assert all(isinstance(ruling, JudgeFailure) and "oh no" in ruling.reason for ruling in rulings.values())
    assert world.passed < 60


def test_an_overloaded_service_is_waited_for_as_long_as_patience_lasts() -> None:
    world = World(healthy_but(lambda path, body: Reply(429, b"{}")))

    assert decided(world.rule_on("a")) == []
    assert 590 < world.passed < 640
    assert world.told[0].startswith("The judge at http://judge doesn't answer: it says 429")
    assert "void" in world.told[-1]


def test_patience_is_that_of_one_call_and_not_of_each_of_its_requests() -> None:
    world = World(lambda path, body: REFUSED, games_per_request=1)

    rulings = world.rule_on("a", "b", "c", "d")

    assert len(rulings) == 4
    assert world.passed < 700


def test_no_games_are_sent_while_the_service_is_known_to_be_away() -> None:
    world = World(lambda path, body: REFUSED)

    world.rule_on("a")

    assert len(world.judged) < 10
    assert len(world.sent) > 30


def test_a_person_is_told_once_that_the_judge_is_away_and_once_that_it_is_back() -> None:
    world = World(lambda path, body: REFUSED)
    world.service = lambda path, body: REFUSED if world.passed < 100 else good_reply(path, body)

    rulings = world.rule_on("a", "b")

    assert decided(rulings) == ["a", "b"]
    assert len(world.told) == 2
    assert "back after" in world.told[1]


def test_the_delay_that_the_service_asks_for_is_kept() -> None:
    world = World(good_reply)
    replies = [Reply(429, b"{}", retry_after="2")]
    world.service = healthy_but(lambda path, body: replies.pop() if replies else good_reply(path, body))

    assert decided(world.rule_on("a")) == ["a"]
    assert world.passed >= 2


def test_a_delay_longer_than_a_short_retry_is_a_pause() -> None:
    world = World(good_reply)
    replies = [Reply(503, b"{}", retry_after="3600")]
    world.service = healthy_but(lambda path, body: replies.pop() if replies else good_reply(path, body))

    assert decided(world.rule_on("a")) == ["a"]
    assert world.passed < 60


def test_a_slow_service_gets_fewer_games_also_later() -> None:
    world = World(good_reply, games_per_request=8)
    world.service = healthy_but(
        lambda path, body: SLOW if len(json.loads(body)["queries"]) > 2 else good_reply(path, body)
    )

    assert len(decided(world.rule_on(*"abcdefgh"))) == 8
    world.judged.clear()
    assert len(decided(world.rule_on(*"abcdefgh"))) == 8
    assert world.judged == [2, 2, 2, 2]


def test_one_game_that_takes_for_ever_fails_alone() -> None:
    world = World(healthy_but(lambda path, body: SLOW if b"poison" in body else good_reply(path, body)))

    assert decided(world.rule_on("a", "b", "poison", "c")) == ["a", "b", "c"]


@given(st.lists(st.sampled_from(["refused", "reset", "slow", "429", "500", "503", "garbage", "good"]), max_size=30))
def test_whatever_happens_each_game_gets_its_own_label_or_a_failure(script: list[str]) -> None:
    remaining = list(script)

    def service(path: str, body: bytes) -> Reply | NoReply:
        fault = remaining.pop(0) if remaining else "good"
        if fault == "good":
            return good_reply(path, body)
        if fault.isdigit():
            return Reply(int(fault), b"{}")
        troubles = {"refused": REFUSED, "reset": NoReply(Trouble.BROKEN, "reset"), "slow": SLOW}
        return troubles.get(fault, Reply(200, b"<html>"))

    rulings = World(service).rule_on("an error", "fine", "one more error")

    assert rulings.keys() == {"an error", "fine", "one more error"}
    for note, ruling in rulings.items():
        assert isinstance(ruling, JudgeFailure) or (ruling.error_present == ("error" in note) and ruling.reason == note)


def test_a_start_waits_for_loading_but_not_long_for_nothing_at_all() -> None:
    nothing, loading = World(lambda path, body: REFUSED), World(lambda path, body: Reply(503, b'{"status": "loading"}'))

    for world, least, most in ((nothing, 59, 75), (loading, 599, 615)):
        with pytest.raises(JudgeError, match="no judge is ready"):
            world.wait_until_ready()
        assert least < world.passed < most
