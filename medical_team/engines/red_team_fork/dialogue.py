"""The fork's game loop: an attacker's turn, a defender's turn, one request to the judge, and the rewards.

The fork has a loop of its own and doesn't import this one. It is here for programs that play the fork's way without it:
the same four steps in the same order, with the same keys in what they return.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import Request

from ...errors import EndpointError, UsageError
from ...network.proxies import is_address, make_opener
from ...records import Role
from .custom_configs import GENERAL_SUM, CustomConfigs, data_type_of, get_cot_formatting_reward, is_thinking_in
from .turns import (
    convert_game_history_to_messages,
    cot_format_check_and_extract,
    get_redteaming_game_reward_general_sum,
    get_redteaming_game_reward_zero_sum,
)

Generator = Callable[..., Sequence[Any]]
"""``generator(prompts, prompt_types, **kwargs)`` gives an output for each prompt, in order. As vLLM's, each output has
``outputs[0].token_ids``."""

GameEntry = dict[str, Any]

_TURNS = 2


class DialogueGameManager:
    """Plays a batch of games. The four methods are called in their order, once each.

    Args:
        tokenizer: gives the chat template, reads and counts tokens.
        remote_rm_url: the address of the judge's ``/judge``, alone or as the first of a list.
        strategy: its ``print`` is told what is being played; None: nobody is.
        custom_configs: the fork's ``--custom_configs``.

    Raises:
        UsageError: ``custom_configs`` asks for another kind of game.
    """

    def __init__(
        self,
        tokenizer: Any,
        remote_rm_url: str | Sequence[str],
        strategy: Any = None,
        custom_configs: CustomConfigs | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.remote_rm_url = [remote_rm_url] if isinstance(remote_rm_url, str) else remote_rm_url
        self.strategy = strategy
        self.custom_configs = custom_configs or {}
        self.max_turns = self.custom_configs.get("max_turns", _TURNS)
        self.reward_type = self.custom_configs.get("reward_type", GENERAL_SUM)
        self.no_attacker_turn = self.custom_configs.get("no_attacker_turn", False)
        self.no_defender_turn = self.custom_configs.get("no_defender_turn", False)
        self.disable_hidden_cot = not is_thinking_in(custom_configs)
        self.get_redteaming_game_reward = _reward_function(self.reward_type)
        self.active_games: dict[int, GameEntry] = {}
        if self.max_turns != _TURNS:
            raise UsageError(f"max_turns in --custom_configs is {self.max_turns!r}; a game here has {_TURNS} turns")

    def initialize_games(self, prompts: Sequence[str], completions: Sequence[str], data_types: Sequence[str]) -> None:
        """Set up a game for each seed note. Where only the attacker learns, vanilla games have nobody to play for.

        Raises:
            UsageError: a prompt type is none of the fork's.
            ValueError: the three lists differ in length.
        """
        played = [
            (prompt, completion, data_type)
            for prompt, completion, data_type in zip(prompts, completions, data_types, strict=True)
            if data_type_of(data_type).is_adversarial or not self.no_defender_turn
        ]
        self.active_games = {
            index: {
                "history": [],
                "raw_history": [],
                "processed_output_history": [],
                "prompts": prompt,
                "prompt_type": data_type,
                "completion": completion,
                "is_generated_attack": False,
                "finished": False,
                "current_turn": 0,
            }
            for index, (prompt, completion, data_type) in enumerate(played)
        }

    def play_games(
        self, attacker_llm_generator: Generator, defender_llm_generator: Generator, **kwargs: Any
    ) -> dict[int, GameEntry]:
        """Play the attackers' turns as one batch, then the defenders' as one; ``kwargs`` go to the generators."""
        attacked: dict[int, GameEntry] = {}
        for index, game in self.active_games.items():
            if self.no_attacker_turn or not data_type_of(game["prompt_type"]).is_adversarial:
                _pass_note_on(game)
            else:
                game["is_generated_attack"] = True
                attacked[index] = game
        self._play_turn(attacked, "attacker", 0, attacker_llm_generator, kwargs)
        self._play_turn(self.active_games, "defender", 1, defender_llm_generator, kwargs)
        for game in self.active_games.values():
            game["finished"] = True
        return self.active_games

    def evaluate_game_outcomes(self) -> dict[int, dict[str, Any]]:
        """Ask the judge about all games at once: its label of each, by the game's number.

        Raises:
            EndpointError: the judge gave no labels.
        """
        queries = [
            {"game_idx": index, "prompt": game["history"][0]["content"], "response": game["history"][1]["content"]}
            for index, game in self.active_games.items()
        ]
        labels = request_labels(self.remote_rm_url[0], queries) if queries else []
        return dict(zip(self.active_games, labels, strict=True))

    def filter_and_compute_rewards(
        self, batch_labels_dict: Mapping[int, Mapping[str, Any]]
    ) -> tuple[list[Any], list[dict[str, Any]], list[Any], list[dict[str, Any]], Mapping[int, Mapping[str, Any]]]:
        """Outputs and turn states of the attackers, then of the defenders, and the labels as they came.

        A turn state holds ``reward`` and ``game_outcomes`` now. Games whose judge failed are left out.

        Raises:
            UsageError: a game has no label.
        """
        missing = [str(index) for index in self.active_games if index not in batch_labels_dict]
        if missing:
            raise UsageError(f"there is no label of game {', '.join(missing)}")
        turns: dict[str, list[tuple[Any, dict[str, Any]]]] = {"attacker": [], "defender": []}
        for index, game in self.active_games.items():
            labels = batch_labels_dict[index]
            if labels.get("is_parsing_error", False):
                continue
            for turn in game["processed_output_history"]:
                state = turn["game_states"]
                if state:
                    self._reward(state, labels)
                    turns[state["game_role"]].append((turn["output"], state))
        attackers, defenders = turns["attacker"], turns["defender"]
        return (
            [output for output, _ in attackers],
            [state for _, state in attackers],
            [output for output, _ in defenders],
            [state for _, state in defenders],
            batch_labels_dict,
        )

    def _play_turn(
        self, games: Mapping[int, GameEntry], role: str, turn: int, generator: Generator, kwargs: Mapping[str, Any]
    ) -> None:
        if not games:
            return
        if self.strategy is not None:
            self.strategy.print(f"turn {turn}: {len(games)} {role}s")
        prompts = [
            convert_game_history_to_messages(
                game["history"], role, game["prompts"], game["prompt_type"], self.custom_configs, self.tokenizer
            )
            for game in games.values()
        ]
        outputs = generator(prompts, [game["prompt_type"] for game in games.values()], **kwargs)
        for (index, game), output in zip(games.items(), outputs, strict=True):
            self._add_turn(index, game, role, turn, output)

    def _add_turn(self, index: int, game: GameEntry, role: str, turn: int, output: Any) -> None:
        (response,) = self.tokenizer.batch_decode([output.outputs[0].token_ids], skip_special_tokens=True)
        game["current_turn"] = turn
        state: dict[str, Any] = {
            "game_role": role,
            "turn": turn,
            "game_idx": index,
            "finished": game["finished"],
            "is_generated_attack": game["is_generated_attack"],
            "prompt_type": game["prompt_type"],
            "prompts": game["prompts"],
            "completion": game["completion"],
        }
        answer = response if self.disable_hidden_cot else self._read_thinking(response, state)
        spoken = {"game_role": role, "turn": turn}
        game["history"].append({**spoken, "content": answer.strip()})
        game["raw_history"].append({**spoken, "content": response.strip()})
        game["processed_output_history"].append({**spoken, "output": output, "game_states": state})

    def _read_thinking(self, response: str, state: dict[str, Any]) -> str:
        (thinking, answer), is_violated = cot_format_check_and_extract(response)
        shown = ("", "") if is_violated else (thinking or "", answer)
        lengths = [None if is_violated else self._count_tokens(text) for text in shown]
        state["text_cot_and_answer"] = shown
        state["length_cot_and_answer"] = tuple(lengths)
        state["cot_format_violation"] = is_violated
        return answer

    def _count_tokens(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def _reward(self, state: dict[str, Any], labels: Mapping[str, Any]) -> None:
        reward, outcomes = self.get_redteaming_game_reward(
            gamedata=state,
            labels=labels,
            reward_coeff_config=self.custom_configs.get("reward_coeff_config", GENERAL_SUM),
        )
        if not self.disable_hidden_cot:
            reward += get_cot_formatting_reward(state["cot_format_violation"])
        state["reward"] = reward
        state["game_outcomes"] = outcomes


def _reward_function(reward_type: str) -> Callable[..., tuple[float, set[Any]]]:
    # The fork chooses by what the name contains.
    if "general_sum" in reward_type:
        return get_redteaming_game_reward_general_sum
    if "zero_sum" in reward_type:
        return get_redteaming_game_reward_zero_sum
    raise UsageError(
        f"reward_type in --custom_configs is {reward_type!r}, expected medical_general_sum or medical_zero_sum"
    )


def _pass_note_on(game: GameEntry) -> None:
    spoken = {"game_role": Role.ATTACKER.value, "content": game["prompts"]}
    game["history"].append(dict(spoken))
    game["raw_history"].append(dict(spoken))
    # No state: nothing was generated, so there is no sample.
    passed: GameEntry = {"game_role": Role.ATTACKER.value, "turn": 0, "output": game["prompts"], "game_states": {}}
    game["processed_output_history"].append(passed)


TIMEOUT_SECONDS = 180.0
TRIES = 5
SECONDS_BETWEEN_TRIES = 1.0
MOST_REPLY_BYTES = 64 * 2**20

_WORTH_ANOTHER_TRY = (408, 429)


def request_labels(
    url: str, queries: Sequence[Mapping[str, Any]], *, sleep: Callable[[float], None] = time.sleep
) -> list[dict[str, Any]]:
    """The judge's labels of ``queries``, in their order: asked in one POST, as the fork's trainer does.

    Args:
        url: the address of the service's ``/judge`` or ``/classify``.
        queries: ``game_idx``, ``prompt`` (the note as the assessor read it) and ``response`` of each game.
        sleep: waits so many seconds for a service that is away.

    Raises:
        EndpointError: the service is away, refuses, is behind a proxy that can't be used, or doesn't answer with a
            label for each query.
    """
    if not is_address(url):
        raise EndpointError(f"{url!r} is no address of a judge: it looks like http://127.0.0.1:8000/judge")
    body = json.dumps({"queries": list(queries), "prompts": None}).encode()
    opener = make_opener(url)
    request = Request(url, body, {"Content-Type": "application/json"})
    trouble = ""
    for attempt in range(TRIES):
        if attempt:
            sleep(SECONDS_BETWEEN_TRIES)
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return _labels_in(response.read(MOST_REPLY_BYTES + 1), len(queries))
        except HTTPError as error:
            error.close()
            trouble = f"HTTP {error.code} {error.reason}"
            if error.code < 500 and error.code not in _WORTH_ANOTHER_TRY:
                break
        except (OSError, HTTPException, ValueError) as error:
            trouble = str(error) or type(error).__name__
    health = url.rsplit("/", 1)[0] + "/health"
    raise EndpointError(
        f"the judge at {url} gave no labels: {trouble}. Look whether it is ready: curl {health}; "
        "start one: medical-team judge serve"
    )


def _labels_in(answer: bytes, count: int) -> list[dict[str, Any]]:
    """The labels in ``answer``, which belong to the games by their place: nothing but a full list is accepted."""
    if len(answer) > MOST_REPLY_BYTES:
        raise ValueError(f"the reply is larger than {MOST_REPLY_BYTES} bytes")
    try:
        reply: Any = json.loads(answer)
    except ValueError:
        raise ValueError("the reply is no JSON") from None
    found: object = cast("dict[str, object]", reply).get("labels") if isinstance(reply, dict) else None
    labels: list[Any] = cast("list[Any]", found) if isinstance(found, list) else [None]
    if not all(isinstance(label, dict) for label in labels):
        raise ValueError('the reply has no list "labels" of objects')
    if len(labels) != count:
        raise ValueError(f"the reply has {len(labels)} labels for {count} games")
    return labels
