"""The fork's ``--custom_configs``: what of a run's rules it can be told there, and how it is read back.

The fork itself reads ``max_turns``, ``reward_type``, ``remove_ties``, ``no_attacker_turn``, ``no_defender_turn``,
``direct_chat_no_cot`` and ``reward_coeff_config``, and hands all of it to the prompt function, where ``prompt_style``
and ``prompt_date`` are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, get_args

from ...errors import UsageError
from ...game_config import SELF_REDTEAM_COEFFICIENTS, GameConfig, PromptStyle
from ...prompt_date import day_of

CustomConfigs = Mapping[str, Any]

TUNABLE_COEFFICIENTS = ("core", "faithful", "unfaithful")
"""The format terms can't be told to the fork: its loop asks for them without any configuration."""

_FORMAT_COEFFICIENTS = ("format_kept", "format_violated")

_PROMPT_STYLES: tuple[str, ...] = get_args(PromptStyle)


def custom_configs_of(game: GameConfig, prompt_date: str | None = None) -> dict[str, object]:
    """What ``--custom_configs`` must hold, as JSON, for the fork to play by the rules of ``game``, and to tell
    chat templates the day ``prompt_date``.

    Raises:
        UsageError: the fork can't play by them.
    """
    problems = custom_configs_problems(game)
    if problems:
        raise UsageError("; ".join(problems))
    custom_configs: dict[str, object] = {
        "max_turns": game.max_turns,
        "reward_type": game.reward_type,
        "remove_ties": game.remove_ties,
        "no_attacker_turn": game.no_attacker_turn,
        "no_defender_turn": game.no_defender_turn,
        "direct_chat_no_cot": not game.thinking,
        "prompt_style": game.prompt_style,
    }
    if prompt_date is not None:
        custom_configs["prompt_date"] = prompt_date
    if game.coefficients != SELF_REDTEAM_COEFFICIENTS:
        custom_configs["reward_coeff_config"] = {
            name: getattr(game.coefficients, name) for name in TUNABLE_COEFFICIENTS
        }
    return custom_configs


def custom_configs_problems(game: GameConfig) -> list[str]:
    """The rules of ``game`` that can't be told to the fork, as sentences naming the option."""
    return [
        f"game.coefficients.{name} is {getattr(game.coefficients, name)}, but the fork can't be told: "
        f"edit REWARD_COEFF_CONFIG in its copy of this package, or leave it at {fixed}"
        for name in _FORMAT_COEFFICIENTS
        if game.thinking and getattr(game.coefficients, name) != (fixed := getattr(SELF_REDTEAM_COEFFICIENTS, name))
    ]


def is_thinking_in(custom_configs: CustomConfigs | None) -> bool:
    """Whether players think before they answer; the fork's default."""
    return not (custom_configs or {}).get("direct_chat_no_cot", False)


def prompt_style_in(custom_configs: CustomConfigs | None) -> str:
    """How the task is explained: at length, unless ``prompt_style`` says otherwise.

    Raises:
        UsageError: it names no style.
    """
    style = (custom_configs or {}).get("prompt_style", "full")
    if style not in _PROMPT_STYLES:
        raise UsageError(f"prompt_style in --custom_configs is {style!r}, expected one of: {', '.join(_PROMPT_STYLES)}")
    return style


def prompt_date_in(custom_configs: CustomConfigs | None) -> date | None:
    """The day that chat templates are told; None where nothing is said, so that they ask the clock.

    Raises:
        UsageError: it names no day.
    """
    text = (custom_configs or {}).get("prompt_date")
    try:
        return None if text is None else day_of(str(text))
    except ValueError as error:
        raise UsageError(f"prompt_date in --custom_configs: {error}") from error
