"""From a player's request to token ids, and from a reply's token ids to text.

Text of a player is data. A model's control tokens (``<|im_end|>``, ``<end_of_turn>``) end a message or open another
one, so a note that spells them out could speak for somebody else: they are broken up before the template is filled.
Tags of our own such as ``<think>``, which some tokenizers know as a token, are left alone: :mod:`..prompts` has
defused them in the notes already, and what is left of them is our own wording.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from ..prompts import defuse

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MAX_SPLITTING_PASSES = 8
# Stands where a control token stood. Closing the gap instead could join what is on its two sides into one of our tags.
_GAP = "\N{REPLACEMENT CHARACTER}"


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str, reply_prefix: str) -> tuple[int, ...]:
    """The token ids of one user message, the start of the assistant's turn, and what its reply starts with.

    Only a user message is used, so that templates without a system role work. Templates that can switch thinking on
    and off (``enable_thinking``, as Qwen3's) are told to think if ``reply_prefix`` opens a thought, and not otherwise.
    """
    rendered = cast(
        "str",
        tokenizer.apply_chat_template(
            [{"role": "user", "content": without_control_tokens(tokenizer, prompt)}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=bool(reply_prefix),
        ),
    )
    # Some templates of thinking models open the thought themselves.
    if not rendered.rstrip().endswith(reply_prefix):
        rendered += reply_prefix
    return tuple(tokenizer(rendered, add_special_tokens=False)["input_ids"])  # type: ignore[arg-type]


def decode_reply(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int], eos_token_ids: Collection[int]) -> str:
    """The text of a reply, without end-of-sequence and other control tokens, and otherwise as it was written."""
    skipped = _control_tokens(tokenizer, len(tokenizer)).special_ids.union(eos_token_ids)
    kept = [token_id for token_id in token_ids if token_id not in skipped]
    return cast("str", tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def without_control_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """``text`` with a space put into everything that ``tokenizer`` would read as a control token."""
    control = _control_tokens(tokenizer, len(tokenizer))
    if control.pattern is None:
        return text
    for _ in range(_MAX_SPLITTING_PASSES):
        if control.pattern.search(text) is None:
            break
        text = control.pattern.sub(_split, text)
    # A token with spaces inside can arise from the splitting itself. Replacing always comes to an end: the text gets
    # shorter, or has fewer characters that are no gap.
    while control.pattern.search(text) is not None:
        text = control.pattern.sub(_GAP, text)
    return _without_normalised_spellings(tokenizer, text, control.ids)


@dataclass(frozen=True)
class _ControlTokens:
    """``special_ids`` are those among ``ids`` that the tokenizer itself calls special: a reply's text omits them."""

    pattern: re.Pattern[str] | None
    ids: frozenset[int]
    special_ids: frozenset[int]


# The size of the vocabulary is part of the key, since tokens may be added to a tokenizer.
@lru_cache(maxsize=8)
def _control_tokens(tokenizer: PreTrainedTokenizerBase, vocabulary_size: int) -> _ControlTokens:
    special = set(tokenizer.all_special_tokens)
    special.update(token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    # Gemma's vocabulary has runs of spaces and line ends among its added tokens; they control nothing.
    added = (token for token in cast("Any", tokenizer).get_added_vocab() if token.strip(" \t\r\n▁"))
    spelled = sorted(
        {token for token in {*added, *special} - {_GAP} if not _is_own_tag(token)}, key=lambda token: -len(token)
    )
    ids = {token: cast("int", tokenizer.convert_tokens_to_ids(token)) for token in spelled}
    return _ControlTokens(
        pattern=re.compile("|".join(map(re.escape, spelled))) if spelled else None,
        # A word that the tokenizer doesn't know is no control token, though it is read as one.
        ids=frozenset(ids.values()) - {cast("int", tokenizer.unk_token_id)},
        special_ids=frozenset(ids[token] for token in spelled if token in special),
    )


def _is_own_tag(token: str) -> bool:
    return defuse(token) == f"({token[1:-1]})"


def _split(match: re.Match[str]) -> str:
    token = match.group()
    # Spaces at a token's start are passed over: a space beside them would leave the token whole.
    first = len(token) - len(token.lstrip()) + 1
    return f"{token[:first]} {token[first:]}"


def _without_normalised_spellings(tokenizer: PreTrainedTokenizerBase, text: str, control_ids: frozenset[int]) -> str:
    """Replace what becomes a control token only by the tokenizer's own normalising, such as of full-width letters."""
    while tokenizer.is_fast:
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = cast("list[int]", encoding["input_ids"])
        offsets = cast("list[tuple[int, int]]", encoding["offset_mapping"])
        spans = [span for token_id, span in zip(ids, offsets, strict=True) if token_id in control_ids]
        spans = [(start, end) for start, end in spans if end > start and text[start:end] != _GAP]
        if not spans:
            break
        for start, end in reversed(spans):
            text = f"{text[:start]}{_GAP}{text[end:]}"
    return text
