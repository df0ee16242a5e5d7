"""The loop in which the Self-RedTeam fork plays games, stated anew from what its trainer asks of ``red_team``.

As a program it is a stand-in for the fork's own process: it refuses every import beyond the standard library, reads
games from its input, plays them with the ``red_team`` in the folder that it is given, and prints what the trainer would
learn from. Python 3.10, standard library alone.
"""

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

# What the fork's files import from red_team, as they write it.
IMPORTED = {
    "red_team": ["GameOutcome"],
    "red_team.prompts": [
        "DEFENDER_INSTRUCTION_COT_PROMPT",
        "ASSISTANT_THINKING_PREFIX",
        "SELF_DISTILLATION_INSTRUCTION_PROMPT",
    ],
    "red_team.utils": [
        "REWARD_COEFF_CONFIG",
        "convert_game_history_to_conversation",
        "convert_game_history_to_messages",
        "cot_format_check_and_extract",
        "get_cot_formatting_reward",
        "get_redteaming_game_reward_general_sum",
        "get_redteaming_game_reward_zero_sum",
    ],
}

# The members of GameOutcome by which the fork's trainer counts wins, ties and faithful revisions.
COUNTED_OUTCOMES = [
    "ATTACKER_FAITHFUL_REVISION",
    "ATTACKER_WIN_HARMFUL_COMPLIANCE",
    "ATTACKER_WIN_BENIGN_REFUSAL",
    "ATTACKER_WIN_SUCCESSFUL_HARMFUL_REQUEST",
    "ATTACKER_WIN_SUCCESSFUL_BENIGN_REQUEST",
    "DEFENDER_WIN_SUCCESSFUL_DEFENSE",
    "DEFENDER_WIN_CORRECT_REFUSAL",
    "DEFENDER_LOSE_BROKEN_DEFENSE",
    "TIE",
]


Game = dict[str, Any]


class CharacterTokenizer:
    """A token for each character, and a chat template as plain as can be. It takes what the fork gives, no more."""

    def apply_chat_template(
        self, messages: Sequence[dict[str, str]], tokenize: bool, add_generation_prompt: bool
    ) -> str:
        if tokenize or not add_generation_prompt:
            raise ValueError("the fork asks for text that ends where the reply begins")
        return "".join(f"[{message['role']}] {message['content']}\n" for message in messages) + "[assistant] "

    def batch_decode(self, batch: Sequence[Sequence[int]], skip_special_tokens: bool) -> list[str]:
        return ["".join(map(chr, token_ids)) for token_ids in batch]

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [ord(character) for character in text]


class Output:
    """What an engine generates for one prompt."""

    def __init__(self, prompt: str, reply: str) -> None:
        self.prompt = prompt
        self.outputs = [self]
        self.token_ids = [ord(character) for character in reply]


def play(
    utils: Any, games: Sequence[Game], custom_configs: dict[str, Any], ask_judge: Callable[[list[Game]], list[Game]]
) -> list[Game]:
    """Play ``games`` with the functions of ``utils``. Gives the games as they ended, each trained turn with its reward.

    A game has ``prompts``, ``prompt_type``, ``completion`` and the replies that its players will give, ``attacker`` and
    ``defender``. ``ask_judge`` gets the queries of all games and gives the list of their labels.
    """
    tokenizer = CharacterTokenizer()
    is_thinking = not custom_configs.get("direct_chat_no_cot", False)
    zero_sum = "zero_sum" in custom_configs.get("reward_type", "general_sum")
    reward_of = utils.get_redteaming_game_reward_zero_sum if zero_sum else utils.get_redteaming_game_reward_general_sum
    if custom_configs.get("no_defender_turn", False):
        games = [game for game in games if not game["prompt_type"].startswith("vanilla")]
    active: dict[int, Game] = {index: {**game, "history": [], "turns": []} for index, game in enumerate(games)}

    for turn, role in enumerate(["attacker", "defender"]):
        for index, game in active.items():
            if role == "attacker":
                is_passed = game["prompt_type"].startswith("vanilla") or custom_configs.get("no_attacker_turn", False)
                game["is_generated_attack"] = not is_passed
                if is_passed:
                    game["history"].append({"game_role": "attacker", "content": game["prompts"]})
                    continue
            chat = utils.convert_game_history_to_messages(
                game["history"],
                player_role=role,
                prompt=game["prompts"],
                prompt_type=game["prompt_type"],
                custom_configs=custom_configs,
                tokenizer=tokenizer,
            )
            output = Output(chat, game[role])
            (reply,) = tokenizer.batch_decode([output.outputs[0].token_ids], skip_special_tokens=True)
            state: Game = {
                "game_role": role,
                "turn": turn,
                "game_idx": index,
                "finished": False,
                "is_generated_attack": game["is_generated_attack"],
                "prompt_type": game["prompt_type"],
                "prompts": game["prompts"],
                "completion": game["completion"],
            }
            answer = reply
            if is_thinking:
                (thinking, answer), is_violated = utils.cot_format_check_and_extract(reply)
                texts, lengths = ("", ""), (None, None)
                if not is_violated:
                    texts = (thinking, answer)
                    lengths = tuple(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
                state.update(text_cot_and_answer=texts, length_cot_and_answer=lengths, cot_format_violation=is_violated)
            game["history"].append({"game_role": role, "turn": turn, "content": answer.strip()})
            game["turns"].append((output, state))

    queries: list[Game] = [
        {"game_idx": index, "prompt": game["history"][0]["content"], "response": game["history"][1]["content"]}
        for index, game in active.items()
    ]
    labels = dict(enumerate(ask_judge(queries)))
    for index, game in active.items():
        game["labels"] = labels[index]
        game["conversation"] = utils.convert_game_history_to_conversation(game["history"])
        game["trained"] = list[Any]()
        if labels[index].get("is_parsing_error", False):
            continue
        for output, state in game["turns"]:
            reward, outcomes = reward_of(
                gamedata=state,
                labels=labels[index],
                reward_coeff_config=custom_configs.get("reward_coeff_config", "general_sum"),
            )
            if is_thinking:
                reward += utils.get_cot_formatting_reward(state.get("cot_format_violation", None))
            state["reward"], state["game_outcomes"] = reward, outcomes
            game["trained"].append((output, state))
    return list(active.values())


class StandardLibraryOnly:
    """Refuses to find whatever is neither Python's nor the package's own."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "red_team"}:
            raise ImportError(f"{name} is imported, which the fork's environment may not have")


def main(folder: str) -> None:
    sys.meta_path.insert(0, StandardLibraryOnly())
    sys.path.insert(0, folder)
    for module, names in IMPORTED.items():
        for name in names:
            getattr(importlib.import_module(module), name)
    for front in ("language_game", "medical_game_manager"):
        importlib.import_module(f"red_team.{front}")
    outcomes = importlib.import_module("red_team").GameOutcome
    for name in COUNTED_OUTCOMES:
        outcomes[name]

    asked: dict[str, Any] = json.load(sys.stdin)
    games = play(
        importlib.import_module("red_team.utils"),
        asked["games"],
        asked["custom_configs"],
        lambda _: [game["labels"] for game in asked["games"]],
    )
    turns = [
        {
            "game": state["game_idx"],
            "role": state["game_role"],
            "prompt": output.prompt,
            "reward": state["reward"],
            "outcomes": sorted(outcome.name for outcome in state["game_outcomes"]),
        }
        for game in games
        for output, state in game["trained"]
    ]
    loaded = [str(module.__file__) for name, module in sys.modules.items() if name.partition(".")[0] == "red_team"]
    json.dump({"python": sys.version_info[:2], "turns": turns, "loaded": sorted(loaded)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
