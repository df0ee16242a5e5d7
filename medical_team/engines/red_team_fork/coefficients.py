"""What each reward term pays on the fork's path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...errors import UsageError
from ...game_config import SELF_REDTEAM_COEFFICIENTS, RewardCoefficients
from .custom_configs import TUNABLE_COEFFICIENTS

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
