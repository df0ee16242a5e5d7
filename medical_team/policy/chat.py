"""From a player's request to token ids, and from a reply's token ids to text.

Text of a player is data: what a tokenizer would read as a control token is broken up before the template is filled.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING, cast

from ..chat_template import Messages, dated_template, template_problem
from ..control_tokens import special_token_ids, without_control_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["chat_template_problem", "decode_reply", "encode_prompt", "without_control_tokens"]

_ANY_DAY = date(2026, 1, 1)


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, reply_prefix: str, day: date) -> tuple[int, ...]:
    """The token ids of one user message, the start of the assistant's turn, and what its reply starts with.

    Only a user message is used, so that templates without a system role work. Templates that can switch thinking on
    and off (``enable_thinking``, as Qwen3's) are told to think if ``reply_prefix`` opens a thought, and not otherwise.
    Templates that ask what day it is are told ``day``.
    """
    content = without_control_tokens(tokenizer, prompt)
    rendered = _rendered(tokenizer, [{"role": "user", "content": content}], is_thinking=bool(reply_prefix), day=day)
    # Some templates of thinking models open the thought themselves.
    if not rendered.rstrip().endswith(reply_prefix):
        rendered += reply_prefix
    return tuple(tokenizer(rendered, add_special_tokens=False)["input_ids"])  # type: ignore[arg-type]


def chat_template_problem(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """Why nobody can be asked anything with this tokenizer's chat template, as the end of a sentence; None if all is
    well. Raises what a broken template raises."""
    return template_problem(
        lambda messages, is_thinking: _rendered(tokenizer, messages, is_thinking=is_thinking, day=_ANY_DAY)
    )


def decode_reply(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], eos_token_ids: Collection[int]) -> str:
    """The text of a reply, without end-of-sequence and other control tokens, and otherwise as it was written."""
    skipped = special_token_ids(tokenizer).union(eos_token_ids)
    kept = [token_id for token_id in token_ids if token_id not in skipped]
    return cast("str", tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: Messages, *, is_thinking: bool, day: date) -> str:
    return cast(
        "str",
        tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tokenize=False,
            chat_template=dated_template(tokenizer.get_chat_template(), day),
            add_generation_prompt=True,
            enable_thinking=is_thinking,
        ),
    )
