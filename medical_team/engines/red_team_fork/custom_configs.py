"""The fork's ``--custom_configs``: what of a run's rules it can be told there, what each reward term pays on its
path, and its words for what this package calls otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, get_args

from ...chat_template import day_of
from ...errors import UsageError
from ...game_config import SELF_REDTEAM_COEFFICIENTS, GameConfig, PromptStyle, RewardCoefficients
from ...records import DataType, Role

ROLES: Mapping[str, Role] = {"attacker": Role.ATTACKER, "defender": Role.ASSESSOR}

PROMPT_TYPES: Mapping[str, DataType] = {
    **{data_type.value: data_type for data_type in DataType},
    "generated_harmful": DataType.ADVERSARIAL_HARMFUL,
    "generated_benign": DataType.ADVERSARIAL_BENIGN,
}


def role_of(player_role: str) -> Role:
    """Who ``player_role`` is.

    Raises:
        UsageError: it is neither attacker nor defender.
    """
    if player_role not in ROLES:
        raise UsageError(f"the role is {player_role!r}, expected one of: {', '.join(ROLES)}")
    return ROLES[player_role]


def data_type_of(prompt_type: str) -> DataType:
    """The category of a game of ``prompt_type``.

    Raises:
        UsageError: it is no prompt type of the fork.
    """
    if prompt_type not in PROMPT_TYPES:
        raise UsageError(f"the prompt type is {prompt_type!r}, expected one of: {', '.join(PROMPT_TYPES)}")
    return PROMPT_TYPES[prompt_type]


def attacked_data_type_of(prompt_type: str) -> DataType:
    """The category of a game of ``prompt_type`` in which an attacker speaks.

    Raises:
        UsageError: it is no prompt type of the fork, or one without an attacker's turn.
    """
    data_type = data_type_of(prompt_type)
    if not data_type.is_adversarial:
        raise UsageError(
            f"a game of the prompt type {prompt_type!r} has no attacker's turn: its note is passed as it is"
        )
    return data_type


CustomConfigs = Mapping[str, Any]

TUNABLE_COEFFICIENTS = ("core", "faithful", "unfaithful")
"""The format terms can't be told to the fork: its loop asks for them without any configuration."""

_FORMAT_COEFFICIENTS = ("format_kept", "format_violated")

_PROMPT_STYLES: tuple[str, ...] = get_args(PromptStyle)


def custom_configs_of(game: GameConfig, prompt_date: str | None = None) -> dict[str, object]:
    """What ``--custom_configs`` must hold, as JSON, for the fork to play by the rules of ``game``, and to tell
    chat templates the day ``prompt_date``. What can't be told is said by :func:`custom_configs_problems`.
    """
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


GENERAL_SUM = "general_sum"
"""The set that the fork takes where ``--custom_configs`` names none."""

_FORMAT = "cot_format_violation"


def _by_role(coefficients: RewardCoefficients) -> dict[str, dict[str, tuple[float, float]]]:
    core = (-coefficients.core, coefficients.core)
    return {
        "attacker": {"core": core, "revision": (coefficients.unfaithful, coefficients.faithful)},
        "defender": {"core": core},
    }


def _format(coefficients: RewardCoefficients) -> tuple[float, float]:
    return coefficients.format_violated, coefficients.format_kept


REWARD_COEFF_CONFIG: dict[str, Any] = {
    _FORMAT: _format(SELF_REDTEAM_COEFFICIENTS),
    GENERAL_SUM: _by_role(SELF_REDTEAM_COEFFICIENTS),
    "general_sum_all_one": _by_role(RewardCoefficients(faithful=1.0, unfaithful=-1.0)),
}
"""Named sets of coefficients, as the fork holds and logs them: (for the worse, for the better) of each term.

``reward_coeff_config`` in ``--custom_configs`` names a set, or gives ``core``, ``faithful`` and ``unfaithful`` itself.
"""


def coefficients_of(reward_coeff_config: str | Mapping[str, float] | None, player_role: str) -> Mapping[str, Any]:
    """The terms of ``player_role``, each with what it pays for the worse and for the better.

    Raises:
        UsageError: ``reward_coeff_config`` names no set and gives no coefficients.
    """
    if isinstance(reward_coeff_config, Mapping):
        return _by_role(_given(reward_coeff_config))[player_role]
    name = GENERAL_SUM if reward_coeff_config is None else reward_coeff_config
    sets = [known for known in REWARD_COEFF_CONFIG if known != _FORMAT]
    if name not in sets:
        raise UsageError(
            f"reward_coeff_config in --custom_configs is {name!r}, expected one of: {', '.join(sets)}; "
            f"or an object with some of: {', '.join(TUNABLE_COEFFICIENTS)}"
        )
    return REWARD_COEFF_CONFIG[name][player_role]


def get_cot_formatting_reward(cot_format_violation: bool) -> float:
    """What a reply's thinking format pays. The fork's loop adds it to every turn in thinking mode.

    Raises:
        UsageError: nobody looked whether the format is kept.
    """
    # A check at run time: the fork hands on what its turn holds, and None would be read as a kept format.
    if type(cot_format_violation) is not bool:
        raise UsageError(f"cot_format_violation is {cot_format_violation!r}, expected true or false")
    violated, kept = REWARD_COEFF_CONFIG[_FORMAT]
    return violated if cot_format_violation else kept


def _given(coefficients: Mapping[str, float]) -> RewardCoefficients:
    unknown = [name for name in coefficients if name not in TUNABLE_COEFFICIENTS]
    if unknown:
        raise UsageError(
            f"reward_coeff_config in --custom_configs has unknown keys: {', '.join(unknown)}; "
            f"expected some of: {', '.join(TUNABLE_COEFFICIENTS)}"
        )
    return replace(SELF_REDTEAM_COEFFICIENTS, **coefficients)
