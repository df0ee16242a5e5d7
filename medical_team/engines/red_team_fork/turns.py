"""One player's turn, as the fork's trainer asks for it: what the player is asked, how its reply is read, how a game is
written down for the fork's logs, and what the turn is paid.

Core and revision of a reward are those of :mod:`...rewards`. Three things differ, since the fork's loop is not ours:

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
from datetime import date
from typing import Any, cast

from ...chat_template import MEND, Messages, asks_for_day, dated_template, template_problem
from ...control_tokens import names_control_tokens, without_control_tokens
from ...errors import UsageError
from ...parsing import is_cot_format_kept, is_rewritten, revision_problem
from ...prompts import assessor_prompt, attacker_prompt, reply_prefix
from ...records import DataType, GameOutcome, Labels, Role
from ...rewards import decided_core, is_verdict_right
from .custom_configs import (
    GENERAL_SUM,
    CustomConfigs,
    attacked_data_type_of,
    coefficients_of,
    data_type_of,
    is_thinking_in,
    prompt_date_in,
    prompt_style_in,
    role_of,
)

_CHECKED_TEMPLATES: set[str] = set()

History = Sequence[Mapping[str, Any]]
"""The turns so far: ``game_role`` and ``content`` (the public answer) of each."""


def convert_game_history_to_messages(
    history: History,
    player_role: str,
    prompt: str,
    prompt_type: str,
    custom_configs: CustomConfigs | None = None,
    tokenizer: Any = None,
) -> str:
    """The prompt of ``player_role``'s turn: its request in the model's chat template, and what its reply starts with.

    The requests are those of the other engines (:mod:`...prompts`). The assessor is shown what the fork took for the
    attacker's answer. Whatever ``tokenizer`` would read as a control token in the request is broken up.

    Args:
        history: empty for the attacker, the attacker's turn for the defender.
        player_role: attacker or defender.
        prompt: the seed note.
        prompt_type: the game's category, in the fork's words.
        custom_configs: the fork's ``--custom_configs``.
        tokenizer: gives the chat template; without one, the request stands alone.

    Raises:
        UsageError: an argument is none of the fork's, a vanilla game's attacker is asked for, or the chat template
            leaves out what it is given.
    """
    role, style, is_thinking = role_of(player_role), prompt_style_in(custom_configs), is_thinking_in(custom_configs)
    if role is Role.ATTACKER:
        data_type = attacked_data_type_of(prompt_type)
        request = attacker_prompt(prompt, data_type, style=style, is_thinking=is_thinking)
    else:
        request = assessor_prompt(_note_in(history), style=style, is_thinking=is_thinking)
    rendered = request
    if tokenizer is not None:
        day = prompt_date_in(custom_configs)
        rendered = _in_chat_template(tokenizer, request, is_thinking=is_thinking, day=day)
    prefix = reply_prefix(role, style=style, is_thinking=is_thinking)
    # Some templates of thinking models open the thought themselves.
    return rendered if rendered.rstrip().endswith(prefix) else rendered + prefix


def convert_game_history_to_conversation(history: History, target_word: str | None = None) -> str:
    """A game as a text to read, for the fork's tables. ``target_word`` has no meaning here, as in the fork."""
    return "\n\n".join(f"[{turn['game_role']}]\n{turn['content']}" for turn in history)


def _note_in(history: History) -> str:
    if len(history) != 1:
        raise UsageError(f"the defender speaks after one turn of the attacker, here after {len(history)} turns")
    return history[0]["content"]


def _in_chat_template(tokenizer: Any, request: str, *, is_thinking: bool, day: date | None) -> str:
    _check_chat_template(tokenizer)
    content = without_control_tokens(tokenizer, request) if names_control_tokens(tokenizer) else request
    messages = [{"role": "user", "content": content}]
    return _rendered(tokenizer, messages, is_thinking=is_thinking, day=day)


def _check_chat_template(tokenizer: Any) -> None:
    template = getattr(tokenizer, "chat_template", None)
    if not isinstance(template, str) or template in _CHECKED_TEMPLATES:
        return
    problem = template_problem(
        lambda messages, is_thinking: _rendered(tokenizer, messages, is_thinking=is_thinking, day=None)
    )
    if problem is not None:
        raise UsageError(f"the model's chat template {problem}. {MEND}")
    _CHECKED_TEMPLATES.add(template)


def _rendered(tokenizer: Any, messages: Messages, *, is_thinking: bool, day: date | None) -> str:
    # Only templates that ask are told: other tokenizers may take no such arguments.
    template = getattr(tokenizer, "chat_template", None)
    options: dict[str, Any] = {}
    if isinstance(template, str) and "enable_thinking" in template:
        options["enable_thinking"] = is_thinking
    if isinstance(template, str) and day is not None and asks_for_day(template):
        options["chat_template"] = dated_template(template, day)
    return cast("str", tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options))


_OPENING, _CLOSING, _END_OF_THINKING = "<answer>", "</answer>", "</think>"


def cot_format_check_and_extract(response: str) -> tuple[tuple[str | None, str], bool]:
    """``((thinking, answer), violated)``: ``response`` taken apart, and whether it violates the thinking format.

    The thinking is None where the format is violated. The answer is what stands in the first ``<answer>...</answer>``;
    without one it is the whole reply.
    """
    answer = _first_answer(response)
    if not is_cot_format_kept(response):
        return (None, answer), True
    return (response.partition(_END_OF_THINKING)[0].strip(), answer), False


def _first_answer(response: str) -> str:
    answer, closing, _ = response.partition(_OPENING)[2].partition(_CLOSING)
    return answer.strip() if closing else response


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
