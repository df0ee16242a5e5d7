"""What of a run's rules the fork can be told, and that it reaches the functions it calls."""

from __future__ import annotations

import json

from builders import a_pair
from medical_team.engines.red_team_fork.custom_configs import custom_configs_of, custom_configs_problems
from medical_team.game_config import SELF_REDTEAM_COEFFICIENTS, GameConfig, RewardCoefficients
from medical_team.utils import convert_game_history_to_messages, get_redteaming_game_reward_general_sum

NOTE = a_pair().error_note


def test_the_rules_of_a_run_reach_prompts_and_rewards() -> None:
    rules = GameConfig(thinking=True, prompt_style="short", coefficients=RewardCoefficients(core=2.0, unfaithful=-1.5))

    told = json.loads(json.dumps(custom_configs_of(rules)))

    chat = convert_game_history_to_messages([], "attacker", NOTE, "generated_harmful", told)
    assert chat.startswith(f"<note>\n{NOTE}")
    assert chat.endswith("<think>")
    turn = {"game_role": "attacker", "prompt_type": "generated_harmful"}
    said = {"error_present": False, "error_detected": True}
    reward, _ = get_redteaming_game_reward_general_sum(turn, said, reward_coeff_config=told["reward_coeff_config"])
    assert reward == 2.0 - 1.5


def test_self_redteam_s_own_rewards_are_told_without_coefficients() -> None:
    assert custom_configs_of(GameConfig(coefficients=SELF_REDTEAM_COEFFICIENTS)) == {
        "max_turns": 2,
        "reward_type": "medical_general_sum",
        "remove_ties": True,
        "no_attacker_turn": False,
        "no_defender_turn": False,
        "direct_chat_no_cot": True,
        "prompt_style": "short",
    }


def test_the_stricter_defaults_are_told_with_their_coefficients() -> None:
    told = custom_configs_of(GameConfig())["reward_coeff_config"]
    assert told == {"core": 1.0, "faithful": 0.5, "unfaithful": -2.0}


def test_format_coefficients_cannot_be_told_and_matter_only_where_players_think() -> None:
    coefficients = RewardCoefficients(format_kept=0.5)
    plain = GameConfig(coefficients=coefficients)
    thinking = GameConfig(coefficients=coefficients, thinking=True)

    assert custom_configs_problems(plain) == []
    (problem,) = custom_configs_problems(thinking)
    assert "game.coefficients.format_kept is 0.5, but the fork can't be told" in problem
