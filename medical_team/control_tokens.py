"""Control tokens of a tokenizer, and how a text is kept from spelling them.

Text of a player is data. A model's control tokens (``<|im_end|>``, ``<end_of_turn>``) end a message or open another
one, so a note that spells them out could speak for somebody else: they are broken up before a template is filled.
Tags of our own such as ``<think>``, which some tokenizers know as a token, are left alone: :mod:`.prompts` has
defused them in the notes already, and what is left of them is our own wording.

Standard library alone: other engines use this with the tokenizers of their own libraries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from .prompts import defuse

_MAX_SPLITTING_PASSES = 8
# Stands where a control token stood. Closing the gap instead could join what is on its two sides into one of our tags.
_GAP = "\N{REPLACEMENT CHARACTER}"


# Tokenizers are those of transformers, or of whatever has its interface: no type of ours could name them all.
Tokenizer = Any

_ASKED = (
    *("all_special_tokens", "added_tokens_decoder", "unk_token_id", "is_fast"),
    *("get_added_vocab", "convert_tokens_to_ids", "__len__", "__call__"),
)


def names_control_tokens(tokenizer: Tokenizer) -> bool:
    """Whether ``tokenizer`` can say what its control tokens are, as those of transformers can."""
    return all(hasattr(tokenizer, name) for name in _ASKED)


def without_control_tokens(tokenizer: Tokenizer, text: str) -> str:
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


def special_token_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """The control tokens that ``tokenizer`` itself calls special: a reply's text omits them."""
    return _control_tokens(tokenizer, len(tokenizer)).special_ids


@dataclass(frozen=True)
class _ControlTokens:
    """``special_ids`` are those among ``ids`` that the tokenizer itself calls special: a reply's text omits them."""

    pattern: re.Pattern[str] | None
    ids: frozenset[int]
    special_ids: frozenset[int]


# The size of the vocabulary is part of the key, since tokens may be added to a tokenizer.
@lru_cache(maxsize=8)
def _control_tokens(tokenizer: Tokenizer, vocabulary_size: int) -> _ControlTokens:
    special = set(cast("list[str]", tokenizer.all_special_tokens))
    special.update(token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    # Gemma's vocabulary has runs of spaces and line ends among its added tokens; they control nothing.
    added = (token for token in cast("list[str]", list(tokenizer.get_added_vocab())) if token.strip(" \t\r\n▁"))
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


def _without_normalised_spellings(tokenizer: Tokenizer, text: str, control_ids: frozenset[int]) -> str:
    """Replace what becomes a control token only by the tokenizer's own normalising, such as of full-width letters."""
    while tokenizer.is_fast:
        encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = cast("list[int]", encoding["input_ids"])
        offsets = cast("list[tuple[int, int]]", encoding["offset_mapping"])
        spans = [span for token_id, span in zip(ids, offsets, strict=True) if token_id in control_ids]
        spans = [(start, end) for start, end in spans if end > start and text[start:end] != _GAP]
        if not spans:
            break
        for start, end in reversed(spans):
            text = f"{text[:start]}{_GAP}{text[end:]}"
    return text
