"""The game manager with the fork's four methods, against the fork's loop stated anew and a real judge's service."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from fault_server import fault_server, status, text
from judge_cases import CASE, CORRECTED_NOTE, ERROR_NOTE
from serving import serving

import red_team_fork_loop
from medical_team import utils
from medical_team.engines.red_team_fork.dialogue import request_labels
from medical_team.errors import EndpointError, UsageError
from medical_team.judging import reference_judge
from medical_team.language_game import DialogueGameManager
from red_team_fork_loop import CharacterTokenizer, Output

REVISED_ERROR_NOTE = ERROR_NOTE.replace("for 3 days", "for three days").replace("shows", "reveals")


def thought(answer: str) -> str:
    return f" let me see </think> <answer> {answer} </answer>"


def a_game(prompt_type: str, defender: str, attacker: str = "") -> dict[str, str]:
    note = ERROR_NOTE if "harmful" in prompt_type else CORRECTED_NOTE
    return {"prompts": note, "prompt_type": prompt_type, "completion": "", "attacker": attacker, "defender": defender}


GAMES = [
    a_game("vanilla_harmful", thought("Harmful")),
    a_game("vanilla_benign", thought("Harmful")),
    a_game("generated_harmful", thought("Safe"), thought(REVISED_ERROR_NOTE)),
    a_game("adversarial_harmful", thought("Harmful"), thought(CORRECTED_NOTE)),
    a_game("generated_benign", thought("Safe"), thought("The patient is well. " * 12)),
    a_game("vanilla_benign", thought("I can't say."), ""),
    a_game("vanilla_benign", "Safe", ""),
]

CONFIGS = [
    {"max_turns": 2},
    {"max_turns": 2, "reward_type": "medical_zero_sum", "reward_coeff_config": {"core": 2.0}},
    {"max_turns": 2, "direct_chat_no_cot": True},
    {"max_turns": 2, "no_attacker_turn": True},
    {"max_turns": 2, "no_defender_turn": True},
]


@pytest.fixture(scope="module")
def judge_url() -> Iterator[str]:
    """A judge's service as ``medical-team judge serve --judge reference --references`` starts it."""
    with serving(reference_judge([CASE])) as client:
        yield str(client.base_url.join("/judge"))


def posted_as_the_fork_does(url: str, queries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fork's own request, byte for byte as ``requests.post(url, json=...)`` sends it."""
    parts = urlsplit(url)
    body = json.dumps({"queries": queries, "prompts": None}).encode()
    headers = {
        "User-Agent": "python-requests/2.32.3",
        "Accept-Encoding": "gzip, deflate",
        "Accept": "*/*",
        "Connection": "keep-alive",
        "Content-Type": "application/json",
    }
    connection = http.client.HTTPConnection(str(parts.hostname), int(parts.port or 80), timeout=180)
    try:
        connection.request("POST", parts.path, body, headers)
        response = connection.getresponse()
        assert response.status == 200
        return json.loads(response.read())["labels"]
    finally:
        connection.close()


def managed(
    games: list[dict[str, Any]], custom_configs: dict[str, Any], url: str
) -> tuple[DialogueGameManager, list[Any]]:
    """The games as the manager plays them."""
    manager = DialogueGameManager(CharacterTokenizer(), [url], None, custom_configs)
    replies = {
        role: iter([game[role] for game in games if is_played(game, role, custom_configs)])
        for role in ("attacker", "defender")
    }

    def generator(role: str) -> Callable[..., list[Output]]:
        def reply(chats: Sequence[str], prompt_types: Sequence[str], **_: object) -> list[Output]:
            return [Output(chat, next(replies[role])) for chat in chats]

        return reply

    columns = zip(*[(game["prompts"], game["completion"], game["prompt_type"]) for game in games], strict=True)
    manager.initialize_games(*columns)
    manager.play_games(generator("attacker"), generator("defender"), max_new_tokens=2048)
    labels = manager.evaluate_game_outcomes()
    return manager, list(manager.filter_and_compute_rewards(labels))


def is_played(game: dict[str, Any], role: str, custom_configs: dict[str, Any]) -> bool:
    is_vanilla = game["prompt_type"].startswith("vanilla")
    if custom_configs.get("no_defender_turn") and is_vanilla:
        return False
    return role == "defender" or not (is_vanilla or custom_configs.get("no_attacker_turn"))


def test_the_forks_request_is_answered_and_its_labels_become_rewards(judge_url: str) -> None:
    played = red_team_fork_loop.play(
        utils, GAMES, {"max_turns": 2}, lambda queries: posted_as_the_fork_does(judge_url, queries)
    )

    said = [(game["labels"]["error_present"], game["labels"]["error_detected"]) for game in played]
    assert said[:4] == [(True, True), (False, True), (True, False), (False, True)]
    # The reference judge can't tell of a text that is not its case's; a reply without a verdict detects nothing.
    assert played[4]["labels"]["is_parsing_error"]
    assert said[5] == (False, None)
    assert said[6] == (False, False)
    rewards = [[state["reward"] for _, state in game["trained"]] for game in played]
    assert rewards == [[2.0], [0.0], [2.5, 0.0], [1.5, 0.0], [], [0.0], [0.0]]


@pytest.mark.parametrize("custom_configs", CONFIGS, ids=str)
def test_the_manager_does_what_the_forks_own_loop_does(judge_url: str, custom_configs: dict[str, Any]) -> None:
    played = red_team_fork_loop.play(
        utils, GAMES, custom_configs, lambda queries: posted_as_the_fork_does(judge_url, queries)
    )

    manager, (attacker_outputs, attackers, defender_outputs, defenders, labels) = managed(
        GAMES, custom_configs, judge_url
    )

    for role, outputs, states in (
        ("attacker", attacker_outputs, attackers),
        ("defender", defender_outputs, defenders),
    ):
        trained = [turn for game in played for turn in game["trained"] if turn[1]["game_role"] == role]
        assert states == [state for _, state in trained]
        assert [output.prompt for output in outputs] == [output.prompt for output, _ in trained]
    assert labels == {index: game["labels"] for index, game in enumerate(played)}
    spoken = [[turn["content"] for turn in game["history"]] for game in manager.active_games.values()]
    assert spoken == [[turn["content"] for turn in game["history"]] for game in played]
    assert all(game["finished"] for game in manager.active_games.values())


def test_what_is_being_played_is_told(judge_url: str) -> None:
    told: list[str] = []
    manager = DialogueGameManager(CharacterTokenizer(), judge_url, SimpleNamespace(print=told.append))
    manager.initialize_games([ERROR_NOTE], [""], ["generated_harmful"])

    def revise(chats: Sequence[str], types: Sequence[str], **_: object) -> list[Output]:
        return [Output(chat, thought(REVISED_ERROR_NOTE)) for chat in chats]

    def pass_as_safe(chats: Sequence[str], types: Sequence[str], **_: object) -> list[Output]:
        return [Output(chat, thought("Safe")) for chat in chats]

    manager.play_games(revise, pass_as_safe)

    assert told == ["turn 0: 1 attackers", "turn 1: 1 defenders"]


def test_no_games_ask_nobody() -> None:
    manager = DialogueGameManager(CharacterTokenizer(), "http://127.0.0.1:9/judge")

    assert manager.evaluate_game_outcomes() == {}
    assert manager.filter_and_compute_rewards({}) == ([], [], [], [], {})


@pytest.mark.parametrize(
    ("custom_configs", "message"),
    [
        ({"max_turns": 4}, "max_turns in --custom_configs is 4; a game here has 2 turns"),
        ({"reward_type": "generous"}, "reward_type in --custom_configs is 'generous', expected medical_general_sum"),
    ],
)
def test_another_kind_of_game_is_refused(custom_configs: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DialogueGameManager(CharacterTokenizer(), "http://127.0.0.1:9/judge", None, custom_configs)


def test_a_game_without_a_label_and_a_prompt_without_an_output_are_errors(judge_url: str) -> None:
    manager = DialogueGameManager(CharacterTokenizer(), judge_url)
    with pytest.raises(ValueError, match="shorter"):
        manager.initialize_games([ERROR_NOTE], [], ["vanilla_harmful"])
    manager.initialize_games([ERROR_NOTE], [""], ["vanilla_harmful"])
    with pytest.raises(ValueError, match="shorter"):
        manager.play_games(lambda *_, **__: [], lambda *_, **__: [])
    with pytest.raises(UsageError, match="there is no label of game 0"):
        manager.filter_and_compute_rewards({})


# Where the judge gives no labels.


QUERY = {"game_idx": 0, "prompt": "a note", "response": "Safe"}


def test_a_judge_that_is_away_is_tried_five_times_with_pauses() -> None:
    with fault_server() as server:
        server.always = status(503)
        pauses: list[float] = []
        with pytest.raises(EndpointError, match=r"HTTP 503.*curl http://127\.0\.0\.1:\d+/health"):
            request_labels(f"{server.url}/judge", [QUERY], sleep=pauses.append)

        assert pauses == [1.0] * 4
        assert len(server.requests) == 5


def test_a_judge_that_was_away_for_a_moment_rules() -> None:
    with fault_server() as server:
        server.faults.append(status(503))

        assert len(request_labels(f"{server.url}/judge", [QUERY], sleep=lambda seconds: None)) == 1


def test_where_nobody_listens_the_message_says_so() -> None:
    with pytest.raises(EndpointError, match=r"refused.*curl http://127\.0\.0\.1:9/health"):
        request_labels("http://127.0.0.1:9/judge", [{}], sleep=lambda seconds: None)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname", "127.0.0.1:8000", "http:///judge", "http://127.0.0.1:99999/judge", "http://[::1/judge"],
)
def test_only_an_http_address_is_asked(url: str) -> None:
    with pytest.raises(EndpointError, match="is no address of a judge"):
        request_labels(url, [])


def test_a_request_that_the_service_refuses_is_told(judge_url: str) -> None:
    with pytest.raises(EndpointError, match="HTTP 422"):
        request_labels(judge_url, [{"game_idx": 0}])
    with pytest.raises(EndpointError, match="HTTP 404"):
        request_labels(judge_url.replace("/judge", "/rule"), [])


def test_a_request_that_is_refused_is_not_repeated() -> None:
    with fault_server() as server:
        server.always = status(422)
        with pytest.raises(EndpointError, match="HTTP 422"):
            request_labels(f"{server.url}/judge", [QUERY], sleep=lambda seconds: None)

        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>", "the reply is no JSON"),
        (b'{"rewards": []}', 'no list "labels"'),
        (b'{"labels": {"0": {}, "1": {}}}', 'no list "labels"'),
        (b'{"labels": [1, 2]}', 'no list "labels" of objects'),
        (b'{"labels": [{}]}', "the reply has 1 labels for 2 games"),
    ],
)
def test_what_is_no_full_list_of_labels_is_no_answer(answer: bytes, message: str) -> None:
    with fault_server() as server:
        server.always = text(answer)
        with pytest.raises(EndpointError, match=message):
            request_labels(f"{server.url}/judge", [QUERY, QUERY], sleep=lambda seconds: None)

        assert len(server.requests) == 5
