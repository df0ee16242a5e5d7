"""What the fork's players are asked, how a reply is read as the fork reads it, and how a game is written down for
its logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, cast

from ...chat_template import MEND, Messages, asks_for_day, dated_template, template_problem
from ...control_tokens import names_control_tokens, without_control_tokens
from ...errors import UsageError
from ...parsing import is_cot_format_kept
from ...prompts import assessor_prompt, attacker_prompt, reply_prefix
from ...records import Role
from .custom_configs import (
    CustomConfigs,
    attacked_data_type_of,
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
