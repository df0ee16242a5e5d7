"""Rewards, the thinking format and prompts under the names by which the Self-RedTeam fork imports them.

A front without logic: everything is in :mod:`.engines.red_team_fork`, and nothing inside the package imports this.
"""

from __future__ import annotations

from .engines.red_team_fork.custom_configs import REWARD_COEFF_CONFIG, get_cot_formatting_reward
from .engines.red_team_fork.turns import (
    convert_game_history_to_conversation,
    convert_game_history_to_messages,
    cot_format_check_and_extract,
    get_redteaming_game_reward_general_sum,
    get_redteaming_game_reward_zero_sum,
)

__all__ = [
    "REWARD_COEFF_CONFIG",
    "convert_game_history_to_conversation",
    "convert_game_history_to_messages",
    "cot_format_check_and_extract",
    "get_cot_formatting_reward",
    "get_redteaming_game_reward_general_sum",
    "get_redteaming_game_reward_zero_sum",
]
