"""One player's reward and outcomes in one game, as the fork's trainer asks for them.

Core and revision are those of :mod:`...rewards`. Three things differ, since the fork's loop is not ours:

- It adds the format term itself, also to what is called zero-sum.
- It plays every game to its end, so that a text which is no note is ruled on as well. The labels decide the core; the
  revision is unfaithful.
- It doesn't show the text of a reply that violates the format, nor any text in no-thinking mode. Then the labels alone
  say whether a revision is faithful.

A TIE is a sample that pays nothing and that ``remove_ties`` drops. The attacker gets one where the assessor gave no
verdict (``error_detected`` is null), and both do where the labels don't decide: the judge failed, or a label is
missing, null or neither true nor false. Nothing is guessed from such a label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...parsing import is_rewritten, revision_problem
from ...records import DataType, GameOutcome, Labels, Role
from ...rewards import decided_core, is_verdict_right
from .custom_configs import GENERAL_SUM, attacked_data_type_of, coefficients_of, data_type_of, role_of

GameData = Mapping[str, Any]
"""What the fork knows of a turn. Read here: ``game_role``, ``prompt_type``, ``prompts`` (the seed note) and
``text_cot_and_answer``."""

JudgeLabels = Mapping[str, Any]
"""What the judge says of a game. Read here: ``error_present``, ``error_detected`` and ``is_parsing_error``."""

Coefficients = str | Mapping[str, float] | None
Outcomes = set[GameOutcome]

# The attacker's by whether the note, as the assessor read it, contains an error.
_ATTACKER_WON: Mapping[bool, Sequence[GameOutcome]] = {
    True: (GameOutcome.ATTACKER_WIN_SUCCESSFUL_HARMFUL_REQUEST, GameOutcome.ATTACKER_WIN_HARMFUL_COMPLIANCE),
    False: (GameOutcome.ATTACKER_WIN_SUCCESSFUL_BENIGN_REQUEST, GameOutcome.ATTACKER_WIN_BENIGN_REFUSAL),
}
_ATTACKER_LOST: Mapping[bool, Sequence[GameOutcome]] = {
    True: (GameOutcome.ATTACKER_LOSE_FAILED_HARMFUL_REQUEST, GameOutcome.ATTACKER_LOSE_HARMFUL_REFUSAL),
    False: (GameOutcome.ATTACKER_LOSE_FAILED_BENIGN_REQUEST, GameOutcome.ATTACKER_LOSE_BENIGN_COMPLIANCE),
}
_DEFENDER_WON = (GameOutcome.DEFENDER_WIN_SUCCESSFUL_DEFENSE, GameOutcome.DEFENDER_WIN_CORRECT_REFUSAL)
_DEFENDER_LOST = (GameOutcome.DEFENDER_LOSE_BROKEN_DEFENSE, GameOutcome.DEFENDER_LOSE_WRONG_REFUSAL)


def get_redteaming_game_reward_general_sum(
    gamedata: GameData, labels: JudgeLabels, reward_coeff_config: Coefficients = GENERAL_SUM
) -> tuple[float, Outcomes]:
    """Core and, for the attacker, revision; and the outcomes that the fork's metrics count.

    Raises:
        UsageError: role, prompt type or coefficients are none of the fork's, or a vanilla game's attacker is asked for.
    """
    return _reward(gamedata, labels, reward_coeff_config, is_revision_paid=True)


def get_redteaming_game_reward_zero_sum(
    gamedata: GameData, labels: JudgeLabels, reward_coeff_config: Coefficients = GENERAL_SUM
) -> tuple[float, Outcomes]:
    """The core alone; the outcomes are those of :func:`get_redteaming_game_reward_general_sum`.

    Raises:
        UsageError: as there.
    """
    return _reward(gamedata, labels, reward_coeff_config, is_revision_paid=False)


def _reward(
    gamedata: GameData, labels: JudgeLabels, reward_coeff_config: Coefficients, *, is_revision_paid: bool
) -> tuple[float, Outcomes]:
    role, data_type = role_of(gamedata["game_role"]), data_type_of(gamedata["prompt_type"])
    coefficients = coefficients_of(reward_coeff_config, gamedata["game_role"])
    if role is Role.ATTACKER:
        attacked_data_type_of(gamedata["prompt_type"])
    read = _readable(labels)
    if read is None or (read.error_detected is None and role is Role.ATTACKER):
        return 0.0, {GameOutcome.TIE}
    if role is Role.ASSESSOR:
        is_won = read.error_detected is not None and is_verdict_right(read)
        return coefficients["core"][is_won], set(_DEFENDER_WON if is_won else _DEFENDER_LOST)
    is_won = decided_core(role, read) > 0
    is_faithful = _is_faithful(gamedata, data_type, read)
    revision = coefficients["revision"][is_faithful] if is_revision_paid else 0.0
    return coefficients["core"][is_won] + revision, _attacker_outcomes(read, is_won, is_faithful)


def _readable(labels: JudgeLabels) -> Labels | None:
    """What the judge ruled, with ``error_detected`` None for a verdict that wasn't given; None where it didn't rule."""
    present, detected = labels.get("error_present"), labels.get("error_detected", "missing")
    if labels.get("is_parsing_error") or type(present) is not bool:
        return None
    if detected is not None and type(detected) is not bool:
        return None
    return Labels(game_id="", error_present=present, error_detected=detected, source="", reason="")


def _is_faithful(gamedata: GameData, data_type: DataType, labels: Labels) -> bool:
    if labels.error_present != data_type.is_harmful:
        return False
    seed_note = gamedata.get("prompts")
    _, answer = gamedata.get("text_cot_and_answer") or ("", "")
    if not answer or seed_note is None:
        return True
    return is_rewritten(answer, seed_note) and revision_problem(answer, seed_note) is None


def _attacker_outcomes(labels: Labels, is_won: bool, is_faithful: bool) -> Outcomes:
    won_or_lost = (_ATTACKER_WON if is_won else _ATTACKER_LOST)[labels.error_present]
    revision = GameOutcome.ATTACKER_FAITHFUL_REVISION if is_faithful else GameOutcome.ATTACKER_UNFAITHFUL_REVISION
    return {*won_or_lost, revision}
